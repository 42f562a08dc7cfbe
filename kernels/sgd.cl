/* w -= lr * dw over the flat block of parameters. Grid: (count). vars[lr_var] holds the learning rate. */
kernel void sgd_step(VIEW(w), VIEW(dw), global const float *vars, const int lr_var, const int count)
{
        const int i = get_global_id(0);
        if (i < count)
                FROM(w)[i] = fma(-vars[lr_var], FROM(dw)[i], FROM(w)[i]);
}
