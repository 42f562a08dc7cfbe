#include "device/cl.h"

#include <CL/cl_ext.h>

#include <stdio.h>
#include <string.h>

/* cl_khr_pci_bus_info, cl_nv_device_attribute_query and cl_amd_device_attribute_query, for headers without
 * them. */
enum {
        PCI_BUS_INFO_KHR = 0x410F,
        PCI_BUS_ID_NV = 0x4008,
        PCI_SLOT_ID_NV = 0x4009,
        PCI_DOMAIN_ID_NV = 0x400A,
        TOPOLOGY_AMD = 0x4037,
        TOPOLOGY_PCIE = 1
};

/* cl_device_topology_amd of a PCIe card. */
struct topology {
        cl_uint type;
        cl_uchar unused[17], bus, device, function;
};

static bool ask(cl_device_id id, cl_device_info what, size_t size, void *ret)
{
        return clGetDeviceInfo(id, what, size, ret, NULL) == CL_SUCCESS;
}

bool pci_address(cl_device_id id, char *ret, size_t len)
{
        char extensions[8192] = "";
        cl_uint khr[4], domain = 0, bus, slot; /* NVIDIA's slot has the function in its lowest 3 bits */
        struct topology amd = {0};
        if (!ask(id, CL_DEVICE_EXTENSIONS, sizeof extensions - 1, extensions))
                return false;
        if (strstr(extensions, "cl_khr_pci_bus_info") && ask(id, PCI_BUS_INFO_KHR, sizeof khr, khr)) {
                snprintf(ret, len, "%08x:%02x:%02x.%x", khr[0], khr[1], khr[2], khr[3]);
                return true;
        }
        if (strstr(extensions, "cl_nv_device_attribute_query") && ask(id, PCI_BUS_ID_NV, sizeof bus, &bus) &&
                ask(id, PCI_SLOT_ID_NV, sizeof slot, &slot)) {
                (void)ask(id, PCI_DOMAIN_ID_NV, sizeof domain, &domain); /* older drivers do not tell */
                snprintf(ret, len, "%08x:%02x:%02x.%x", domain, bus, slot >> 3, slot & 7);
                return true;
        }
        if (!strstr(extensions, "cl_amd_device_attribute_query") ||
                !ask(id, TOPOLOGY_AMD, sizeof amd, &amd) || amd.type != TOPOLOGY_PCIE)
                return false;
        snprintf(ret, len, "%08x:%02x:%02x.%x", 0u, amd.bus, amd.device, amd.function);
        return true;
}
