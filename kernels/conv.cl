/* conv2d, naive: one work-item per element of the result, any lanes, any hyperparameters.

   x (N,C,H,W), y (N,K,OH,OW), w (K,C/groups,R,S) contiguous, bias (K). Grids: forward (floats of a block of y,
   blocks of y), data the same of x, weights (elements of w), bias (K). Sums are formed row by row, so that long ones
   lose little. CG and KG are channels per group. conv_finish is for products that were formed by
   others, without bias and epilogue. */
kernel void conv_forward_naive(
        TENSOR(x), VIEW(w), VIEW(bias), TENSOR(y), CONV_GEOMETRY, const int has_bias, EPILOGUE, const int count)
{
        const int i = get_global_id(0);
        const int b = get_global_id(1);
        if (i >= count)
                return;
        const int lane = i % LANES, ow = i / LANES % OW, oh = i / LANES / OW % OH, k = i / LANES / OW / OH;
        const int CG = C / groups, KG = K / groups;
        const global float *weights = FROM(w) + (ulong)k * CG * R * S;
        const global float *samples = AT(x, b) + (ulong)(k / KG) * CG * H * W * LANES + lane;
        float sum = 0.0f;
        for (int c = 0; c < CG; c++)
                for (int r = 0; r < R; r++) {
                        const int h = oh * stride_h - pad_h + r * dilation_h;
                        if (h < 0 || h >= H)
                                continue;
                        float row = 0.0f;
                        for (int s = 0; s < S; s++) {
                                const int v = ow * stride_w - pad_w + s * dilation_w;
                                if (v >= 0 && v < W)
                                        row = fma(weights[(c * R + r) * S + s],
                                                samples[(((ulong)c * H + h) * W + v) * LANES], row);
                        }
                        sum += row;
                }
        AT(y, b)[i] = FINISH(has_bias ? sum + FROM(bias)[k] : sum, NORM_OF(k));
}

kernel void conv_data_naive(
        VIEW(w), TENSOR(dy), TENSOR(dx), CONV_GEOMETRY, const int accumulate, const int count)
{
        const int i = get_global_id(0);
        const int b = get_global_id(1);
        if (i >= count)
                return;
        const int lane = i % LANES, v = i / LANES % W, h = i / LANES / W % H, c = i / LANES / W / H;
        const int CG = C / groups, KG = K / groups, group = c / CG;
        const global float *weights = FROM(w) + ((ulong)group * KG * CG + c % CG) * R * S;
        const global float *gradients = AT(dy, b) + (ulong)group * KG * OH * OW * LANES + lane;
        float sum = 0.0f;
        for (int k = 0; k < KG; k++)
                for (int r = 0; r < R; r++) {
                        const int from_h = h + pad_h - r * dilation_h;
                        if (from_h < 0 || from_h % stride_h || from_h / stride_h >= OH)
                                continue;
                        float row = 0.0f;
                        for (int s = 0; s < S; s++) {
                                const int from_w = v + pad_w - s * dilation_w;
                                if (from_w >= 0 && from_w % stride_w == 0 && from_w / stride_w < OW)
                                        row = fma(weights[(ulong)k * CG * R * S + r * S + s],
                                                gradients[(((ulong)k * OH + from_h / stride_h) * OW +
                                                                  from_w / stride_w) * LANES],
                                                row);
                        }
                        sum += row;
                }
        AT(dx, b)[i] = accumulate ? AT(dx, b)[i] + sum : sum;
}

kernel void conv_weights_naive(TENSOR(x), TENSOR(dy), VIEW(dw), CONV_GEOMETRY, const int samples, const int accumulate)
{
        const int i = get_global_id(0);
        const int CG = C / groups, KG = K / groups;
        const int s = i % S, r = i / S % R, c = i / S / R % CG, k = i / S / R / CG;
        const int down = r * dilation_h, right = s * dilation_w;
        const int oh_first = first_inside(down, stride_h, pad_h), oh_end = end_inside(down, stride_h, pad_h, H, OH);
        const int ow_first = first_inside(right, stride_w, pad_w), ow_end = end_inside(right, stride_w, pad_w, W, OW);
        float sum = 0.0f;
        for (int n = 0; n < samples; n++) {
                const global float *gradients = AT(dy, n / LANES) + (ulong)k * OH * OW * LANES + n % LANES;
                const global float *inputs = AT(x, n / LANES) + (ulong)(k / KG * CG + c) * H * W * LANES + n % LANES;
                float image = 0.0f;
                for (int oh = oh_first; oh < oh_end; oh++) {
                        const int h = oh * stride_h - pad_h + down;
                        float row = 0.0f;
                        for (int ow = ow_first; ow < ow_end; ow++)
                                row = fma(gradients[((ulong)oh * OW + ow) * LANES],
                                        inputs[((ulong)h * W + ow * stride_w - pad_w + right) * LANES], row);
                        image += row;
                }
                sum += image;
        }
        FROM(dw)[i] = accumulate ? FROM(dw)[i] + sum : sum;
}

kernel void conv_bias_naive(TENSOR(dy), VIEW(db), CONV_GEOMETRY, const int samples, const int accumulate)
{
        const int k = get_global_id(0);
        float sum = 0.0f;
        for (int n = 0; n < samples; n++) {
                const global float *gradients = AT(dy, n / LANES) + (ulong)k * OH * OW * LANES + n % LANES;
                float image = 0.0f;
                for (int oh = 0; oh < OH; oh++) {
                        float row = 0.0f;
                        for (int ow = 0; ow < OW; ow++)
                                row += gradients[((ulong)oh * OW + ow) * LANES];
                        image += row;
                }
                sum += image;
        }
        FROM(db)[k] = accumulate ? FROM(db)[k] + sum : sum;
}

kernel void conv_finish(VIEW(bias), TENSOR(y), const int pixels, const int has_bias, EPILOGUE, const int count)
{
        const int i = get_global_id(0), k = i / LANES / pixels;
        if (i >= count)
                return;
        global float *at = AT(y, get_global_id(1)) + i;
        *at = FINISH(has_bias ? *at + FROM(bias)[k] : *at, NORM_OF(k));
}
