// Put before the C library by a test: writes or syncs of journal files fail as a file asks for.
//
// FAILING_DISK names a file; while it holds "write N" or "sync N", the call fails with errno N.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

static int refuses(const char* call, int fd) {
  char link[64], path[512], asked[16];
  int error = 0;
  const char* wish = getenv("FAILING_DISK");
  FILE* file = wish ? fopen(wish, "r") : NULL;
  if (file == NULL) return 0;
  int fields = fscanf(file, "%15s %d", asked, &error);
  fclose(file);
  if (fields != 2 || strcmp(asked, call) != 0) return 0;
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t size = readlink(link, path, sizeof path - 1);
  if (size <= 0) return 0;
  path[size] = 0;
  if (strstr(path, "/journal/") == NULL) return 0;
  errno = error;
  return 1;
}

int fdatasync(int fd) {
  static int (*real)(int);
  if (!real) real = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
  return refuses("sync", fd) ? -1 : real(fd);
}

ssize_t pwrite(int fd, const void* data, size_t size, off_t offset) {
  static ssize_t (*real)(int, const void*, size_t, off_t);
  if (!real) real = (ssize_t(*)(int, const void*, size_t, off_t))dlsym(RTLD_NEXT, "pwrite");
  return refuses("write", fd) ? -1 : real(fd, data, size, offset);
}

ssize_t pwrite64(int fd, const void* data, size_t size, off64_t offset) {
  return pwrite(fd, data, size, offset);
}
