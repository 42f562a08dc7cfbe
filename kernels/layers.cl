/* In one program: all kernels that take no options but LANES and TILED. Before any program PoCL reads its declarations of
   OpenCL's own functions, which takes a tenth of a second. */
#include "activation.cl"
#include "batch_norm.cl"
#include "dropout.cl"
#include "join.cl"
#include "layer_norm.cl"
#include "loss.cl"
#include "pool.cl"
