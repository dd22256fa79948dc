/* A stand-in for NVIDIA's management library: two GPUs, the second of which does not know its power.
 * Only what overnight asks for; the layouts are those of nvml.h. */
#include <dirent.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { OK = 0, INVALID = 2, UNSUPPORTED = 3, NOT_FOUND = 6, INSUFFICIENT_SIZE = 7 };
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

/* Memory: 1 and 2 GiB of 80 are held. Where NVML_STUB names a folder, 256 MiB, and each file in its folder
 * for the GPU is memory that somebody holds, in bytes: the process that the file is named after, for as long as it
 * lives, or nobody that is known. A file `total` says how large the GPU is. */
enum { MOST = 64 };
typedef struct { unsigned pid; unsigned long long bytes; unsigned gpu_instance, compute_instance; } Process;

static unsigned long long held(int device, Process *processes, unsigned *count, unsigned long long *total) {
    const char *root = getenv("NVML_STUB");
    unsigned long long sum = root ? 256ull << 20 : (unsigned long long)(device + 1) << 30;
    *count = 0;
    *total = 80ull << 30;
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", root ? root : "", uuids[device]);
    DIR *folder = root ? opendir(path) : NULL;
    for (struct dirent *entry; folder && (entry = readdir(folder));) {
        char file[4352];
        snprintf(file, sizeof file, "%s/%s", path, entry->d_name);
        FILE *text = entry->d_name[0] == '.' ? NULL : fopen(file, "r");
        unsigned long long bytes = 0;
        if (!text) continue;
        int is_read = fscanf(text, "%llu", &bytes) == 1;
        fclose(text);
        int process = atoi(entry->d_name);
        if (!is_read || (process > 0 && kill(process, 0))) continue;
        if (!strcmp(entry->d_name, "total")) *total = bytes;
        else sum += bytes;
        /* In a container the driver tells the numbers of the host. */
        if (process > 0 && *count < MOST)
            processes[(*count)++] = (Process){process + (getenv("NVML_FOREIGN") ? 1000000 : 0), bytes, 0, 0};
    }
    if (folder) closedir(folder);
    return sum;
}

/* A driver in trouble gives no answer for as long as there is a file `.hang`, and tells so by a file
 * `.hangs`. */
static int gauge_file(int device, const char *name, char path[4096]);

static void answer_later(int device) {
    char hang[4096], hangs[4096];
    if (!gauge_file(device, "hang", hang) || !gauge_file(device, "hangs", hangs)) return;
    while (!access(hang, F_OK)) {
        FILE *told = fopen(hangs, "w");
        if (told) fclose(told);
        usleep(5000);
    }
}

int nvmlDeviceGetMemoryInfo_v2(int *device, struct { unsigned version; uint64_t total, reserved, free, used; } *memory) {
    Process processes[MOST];
    unsigned count;
    unsigned long long total;
    answer_later(*device);
    memory->used = held(*device, processes, &count, &total);
    memory->total = total;
    memory->free = total > memory->used ? total - memory->used : 0;
    return memory->reserved = 0, OK;
}

int nvmlDeviceGetComputeRunningProcesses_v3(int *device, unsigned *count, Process *into) {
    Process processes[MOST];
    unsigned found, room = *count;
    unsigned long long total;
    held(*device, processes, &found, &total);
    *count = found;
    if (found > room) return INSUFFICIENT_SIZE;
    for (unsigned i = 0; i < found; i++) into[i] = processes[i];
    return OK;
}

/* Gauges. Where NVML_STUB names a folder, a file in it named after the GPU and the gauge, like
 * `GPU-aaaa1111.power`, holds another number; one named `.lost` lets the GPU be lost, one named `.xid` is
 * an error that is reported once. */
enum { TIMEOUT = 10, GPU_IS_LOST = 15, XID_CRITICAL_ERROR = 8 };

static int gauge_file(int device, const char *name, char path[4096]) {
    const char *root = getenv("NVML_STUB");
    return root && snprintf(path, 4096, "%s/%s.%s", root, uuids[device], name) < 4096;
}

static unsigned long long gauge(int device, const char *name, unsigned long long otherwise) {
    char path[4096];
    FILE *text = gauge_file(device, name, path) ? fopen(path, "r") : NULL;
    if (!text) return otherwise;
    if (fscanf(text, "%llu", &otherwise) != 1) otherwise = 0;
    fclose(text);
    return otherwise;
}

static int is_lost(int device) {
    char path[4096];
    return gauge_file(device, "lost", path) && !access(path, F_OK);
}

int nvmlDeviceGetUtilizationRates(int *device, unsigned rates[2]) {
    return is_lost(*device) ? GPU_IS_LOST : (rates[0] = 97, rates[1] = 40, OK);
}
int nvmlDeviceGetTemperature(int *device, int sensor, unsigned *celsius) {
    return (void)sensor, *celsius = gauge(*device, "temperature", 60 + *device), OK;
}
int nvmlDeviceGetPowerUsage(int *device, unsigned *milliwatts) {
    return *milliwatts = gauge(*device, "power", *device ? UINT32_MAX : 251500), OK;
}
int nvmlDeviceGetTotalEnergyConsumption(int *device, unsigned long long *millijoules) {
    return *device ? UNSUPPORTED : (*millijoules = gauge(*device, "energy", 123456000), OK);
}
int nvmlDeviceGetClockInfo(int *device, int clock, unsigned *mhz) { return (void)device, *mhz = clock == 2 ? 2619 : 1980, OK; }
int nvmlDeviceGetCurrentClocksThrottleReasons(int *device, unsigned long long *reasons) {
    return *reasons = gauge(*device, "throttle", 0), OK;
}

typedef struct { int *device; unsigned long long type, data; unsigned gpu_instance, compute_instance; } Event;

int nvmlEventSetCreate(void **set) { return *set = numbers, OK; }
int nvmlEventSetFree(void *set) { return (void)set, OK; }
int nvmlDeviceGetSupportedEventTypes(int *device, unsigned long long *types) { return (void)device, *types = XID_CRITICAL_ERROR, OK; }
int nvmlDeviceRegisterEvents(int *device, unsigned long long types, void *set) { return (void)device, (void)types, (void)set, OK; }

int nvmlEventSetWait_v2(void *set, Event *event, unsigned milliseconds) {
    (void)set;
    for (unsigned waited = 0;; waited += 5) {
        for (int i = 0; i < 2; i++) {
            char path[4096];
            unsigned long long code = gauge(i, "xid", 0);
            if (!code || !gauge_file(i, "xid", path) || unlink(path)) continue;
            return *event = (Event){&numbers[i], XID_CRITICAL_ERROR, code, 0, 0}, OK;
        }
        if (waited >= milliseconds) return TIMEOUT;
        usleep(5000);
    }
}
