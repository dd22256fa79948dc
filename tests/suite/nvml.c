/* A stand-in for NVIDIA's management library: two GPUs, the second of which does not know its power.
 * Only what overnight asks for; the layouts are those of nvml.h. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OK = 0, INVALID = 2, UNSUPPORTED = 3, NOT_FOUND = 6 };
static const char *uuids[] = {"GPU-aaaa1111", "GPU-bbbb2222"};
static int numbers[] = {0, 1};

static int text(const char *from, char *to, unsigned length) {
    snprintf(to, length, "%s", from);
    return OK;
}

int nvmlInit_v2(void) { return OK; }
int nvmlShutdown(void) { return OK; }
int nvmlSystemGetDriverVersion(char *to, unsigned length) { return text("580.1", to, length); }
int nvmlDeviceGetCount_v2(unsigned *count) { return *count = 2, OK; }

int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **device) {
    return index < 2 ? (*device = &numbers[index], OK) : INVALID;
}

int nvmlDeviceGetHandleByUUID(const char *uuid, void **device) {
    for (int i = 0; i < 2; i++)
        if (!strcmp(uuid, uuids[i])) return *device = &numbers[i], OK;
    return NOT_FOUND;
}

int nvmlDeviceGetUUID(int *device, char *to, unsigned length) { return text(uuids[*device], to, length); }
int nvmlDeviceGetName(int *device, char *to, unsigned length) { return (void)device, text("Stub 80GB", to, length); }
int nvmlDeviceGetCudaComputeCapability(int *device, int *major, int *minor) {
    return (void)device, *major = 9, *minor = 0, OK;
}

int nvmlDeviceGetMemoryInfo_v2(int *device, struct { unsigned version; uint64_t total, reserved, free, used; } *memory) {
    memory->total = 80ull << 30;
    memory->used = (uint64_t)(*device + 1) << 30;
    memory->free = memory->total - memory->used;
    return memory->reserved = 0, OK;
}

int nvmlDeviceGetUtilizationRates(int *device, unsigned rates[2]) { return (void)device, rates[0] = 97, rates[1] = 40, OK; }
int nvmlDeviceGetTemperature(int *device, int sensor, unsigned *celsius) { return (void)sensor, *celsius = 60 + *device, OK; }
int nvmlDeviceGetPowerUsage(int *device, unsigned *milliwatts) { return *milliwatts = *device ? UINT32_MAX : 251500, OK; }
int nvmlDeviceGetTotalEnergyConsumption(int *device, unsigned long long *millijoules) {
    return *device ? UNSUPPORTED : (*millijoules = 123456000, OK);
}
int nvmlDeviceGetClockInfo(int *device, int clock, unsigned *mhz) { return (void)device, (void)clock, *mhz = 1980, OK; }
