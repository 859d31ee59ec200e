/* As much of NVML as the tests need: two devices that answer, any more refuse. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SUCCESS = 0, NOT_SUPPORTED = 3, NO_PERMISSION = 4, INSUFFICIENT_SIZE = 7, GPU_IS_LOST = 15 };
#define MIB (1ull << 20)

typedef struct { unsigned version; unsigned long long total, reserved, free, used; } Memory;
typedef struct { unsigned gpu, memory; } Utilization;
typedef struct {
    unsigned pid;
    unsigned long long used;
    unsigned gpu_instance, compute_instance;
} Process;

static int number(const char *name, int otherwise) {
    const char *text = getenv(name);
    return text ? atoi(text) : otherwise;
}

int nvmlInit_v2(void) { return number("FAKE_NVML_INIT", SUCCESS); }
int nvmlShutdown(void) { return SUCCESS; }
int nvmlDeviceGetCount_v2(unsigned *count) {
    *count = number("FAKE_NVML_COUNT", 2);
    return SUCCESS;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **device) {
    if (index > 1) return NO_PERMISSION;
    *device = (void *)(size_t)(index + 1);
    return SUCCESS;
}

int nvmlDeviceGetName(void *device, char *name, unsigned length) {
    strncpy(name, device == (void *)1 ? "Fake One" : "Fake Two", length);
    return SUCCESS;
}

int nvmlDeviceGetMemoryInfo_v2(void *device, Memory *memory) {
    static int calls;
    if (memory->version != (sizeof *memory | 2 << 24)) return 25;
    if (++calls > number("FAKE_NVML_LOST_AFTER", 1 << 30)) return GPU_IS_LOST;
    memory->total = 8192 * MIB;
    memory->used = device == (void *)1 ? 1000 * MIB : 0;
    memory->free = memory->total - memory->used;
    return SUCCESS;
}

int nvmlDeviceGetUtilizationRates(void *device, Utilization *rates) {
    if (device != (void *)1) return NOT_SUPPORTED;
    if (getenv("FAKE_NVML_LOST_AFTER")) return NOT_SUPPORTED;
    rates->gpu = 37;
    return SUCCESS;
}

int nvmlDeviceGetComputeRunningProcesses_v3(void *device, unsigned *count, Process *processes) {
    Process all[] = {
        { (unsigned)getpid(), (device == (void *)1 ? 300 : 200) * MIB, ~0u, ~0u },
        { 1, 5000 * MIB, ~0u, ~0u },
        { 2, ~0ull, ~0u, ~0u },
    };
    unsigned room = *count;
    *count = 3;
    if (room < 3) return INSUFFICIENT_SIZE;
    memcpy(processes, all, sizeof all);
    return SUCCESS;
}

/* In KB/s: counter 0 is sent by the device, 1 received. */
int nvmlDeviceGetPcieThroughput(void *device, unsigned counter, unsigned *kb_per_s) {
    if (device != (void *)1) return NOT_SUPPORTED;
    *kb_per_s = counter == 1 ? 12000000 : 3500;
    return SUCCESS;
}

int nvmlDeviceGetMaxPcieLinkGeneration(void *device, unsigned *generation) {
    if (device != (void *)1) return NOT_SUPPORTED;
    *generation = 3;
    return SUCCESS;
}

int nvmlDeviceGetMaxPcieLinkWidth(void *device, unsigned *width) {
    *width = 16;
    return SUCCESS;
}
