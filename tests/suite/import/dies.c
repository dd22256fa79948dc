/* A stand-in for SIGKILL at any place and for a disk that is full: calls that change something below DIES_BELOW
 * are counted, and with number DIES_AT the process is killed. With DIES_FULL that call and all later ones that need
 * room find none instead. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static int count;

static int is_refused(const char *path)
{
    const char *below = getenv("DIES_BELOW"), *at = getenv("DIES_AT");
    if (!below || !at || !path || strncmp(path, below, strlen(below)) != 0)
        return 0;
    if (__atomic_add_fetch(&count, 1, __ATOMIC_SEQ_CST) < atoi(at))
        return 0;
    if (getenv("DIES_FULL"))
        return 1;
    kill(getpid(), SIGKILL);
    return 1;
}

static int is_refused_at(int fd)
{
    char link[64], path[4096];
    struct stat file;
    if (fstat(fd, &file) != 0 || !S_ISREG(file.st_mode))
        return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length <= 0)
        return 0;
    path[length] = 0;
    return is_refused(path);
}

static long full(void)
{
    errno = ENOSPC;
    return -1;
}

ssize_t write(int fd, const void *bytes, size_t bytes_count)
{
    if (is_refused_at(fd)) {
        /* Half of it was still taken. */
        if (bytes_count > 1)
            syscall(SYS_write, fd, bytes, bytes_count / 2);
        return full();
    }
    return syscall(SYS_write, fd, bytes, bytes_count);
}

int mkdir(const char *path, mode_t mode)
{
    return is_refused(path) ? (int)full() : (int)syscall(SYS_mkdirat, AT_FDCWD, path, mode);
}

int rename(const char *from, const char *to)
{
    return is_refused(to) ? (int)full() : (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
}

int fsync(int fd)
{
    return is_refused_at(fd) ? (int)full() : (int)syscall(SYS_fsync, fd);
}

int chmod(const char *path, mode_t mode)
{
    /* Needs no room: a place to die at, and no more. */
    if (!getenv("DIES_FULL"))
        is_refused(path);
    return (int)syscall(SYS_fchmodat, AT_FDCWD, path, mode);
}
