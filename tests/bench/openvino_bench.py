#!/usr/bin/env python3
"""OpenVINO's images per second for one of the course's networks: openvino_bench.py NAME SIDE BATCH SECONDS

Prints a line "images_per_second peak_bytes version"; the bytes are resident memory of the process at most, PyTorch, from which the
network comes, included. fp32, one request at a time on all cores. Needs torch and openvino."""
import os
import sys
import warnings

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import openvino  # noqa: E402
import torch  # noqa: E402
import torch_bench  # noqa: E402


def main():
    name, side, batch, seconds = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
    warnings.simplefilter('ignore', FutureWarning)  # of the tracing that convert_model asks PyTorch for
    x = torch.rand(batch, 1, side, side)
    model = openvino.convert_model(torch_bench.network(name, side).eval(), example_input=x, input=[x.shape])
    request = openvino.Core().compile_model(model, 'CPU', {
        'INFERENCE_PRECISION_HINT': 'f32', 'PERFORMANCE_HINT': 'LATENCY',
        'INFERENCE_NUM_THREADS': len(os.sched_getaffinity(0))}).create_infer_request()
    images = x.numpy()
    speed = torch_bench.rate(lambda: request.infer([images], share_inputs=True), batch, seconds)
    print('%.3f %d %s' % (speed, torch_bench.resident(), openvino.__version__.split('-')[0]))


if __name__ == '__main__':
    main()
