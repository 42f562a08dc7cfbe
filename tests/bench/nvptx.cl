/* OpenCL's functions for clang's NVPTX target, which has none: as many as the kernels that ptx_report looks at call. */
#define FUNCTION __attribute__((overloadable, always_inline))
#define BY_DIMENSION(name, x, y, z) \
        FUNCTION size_t name(uint d) \
        { \
                return d == 0 ? x : d == 1 ? y : z; \
        }
BY_DIMENSION(get_local_id, __nvvm_read_ptx_sreg_tid_x(), __nvvm_read_ptx_sreg_tid_y(), __nvvm_read_ptx_sreg_tid_z())
BY_DIMENSION(get_local_size, __nvvm_read_ptx_sreg_ntid_x(), __nvvm_read_ptx_sreg_ntid_y(), __nvvm_read_ptx_sreg_ntid_z())
BY_DIMENSION(get_group_id, __nvvm_read_ptx_sreg_ctaid_x(), __nvvm_read_ptx_sreg_ctaid_y(), __nvvm_read_ptx_sreg_ctaid_z())
BY_DIMENSION(get_num_groups, __nvvm_read_ptx_sreg_nctaid_x(), __nvvm_read_ptx_sreg_nctaid_y(),
        __nvvm_read_ptx_sreg_nctaid_z())

FUNCTION size_t get_global_id(uint d)
{
        return get_group_id(d) * get_local_size(d) + get_local_id(d);
}

FUNCTION size_t get_global_size(uint d)
{
        return get_num_groups(d) * get_local_size(d);
}

FUNCTION void barrier(cl_mem_fence_flags flags)
{
        __nvvm_bar_sync(0);
}

FUNCTION int min(int a, int b)
{
        return a < b ? a : b;
}

FUNCTION int max(int a, int b)
{
        return a > b ? a : b;
}

FUNCTION float fabs(float v)
{
        return __nvvm_fabs_f(v);
}

FUNCTION float sqrt(float v)
{
        return __nvvm_sqrt_rn_f(v);
}

FUNCTION float fma(float a, float b, float c)
{
        return __nvvm_fma_rn_f(a, b, c);
}

FUNCTION float4 fma(float4 a, float4 b, float4 c)
{
        return (float4)(fma(a.x, b.x, c.x), fma(a.y, b.y, c.y), fma(a.z, b.z, c.z), fma(a.w, b.w, c.w));
}

FUNCTION float4 fabs(float4 v)
{
        return (float4)(fabs(v.x), fabs(v.y), fabs(v.z), fabs(v.w));
}
