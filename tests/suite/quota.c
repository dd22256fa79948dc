/* A stand-in for a user's share of a disk that is used up: while the file QUOTA_MARK is there, no regular file
 * below QUOTA_FOLDER takes another byte, though the disk has room. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static int is_refused(int fd)
{
    const char *mark = getenv("QUOTA_MARK"), *folder = getenv("QUOTA_FOLDER");
    char link[64], path[4096];
    struct stat file;
    if (!mark || !folder || access(mark, F_OK) != 0 || fstat(fd, &file) != 0 || !S_ISREG(file.st_mode))
        return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path);
    return length > 0 && (size_t)length > strlen(folder) && strncmp(path, folder, strlen(folder)) == 0;
}

ssize_t write(int fd, const void *bytes, size_t count)
{
    if (is_refused(fd)) {
        errno = EDQUOT;
        return -1;
    }
    return syscall(SYS_write, fd, bytes, count);
}
