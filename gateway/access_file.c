#include "access_file.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

/* Does not wait for a FIFO's reader, here; the logger's writes may wait. */
static int open_file(const char *path, int *ret_fd)
{
	int fd =
		open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0640);

	if (fd < 0)
		return -errno;
	if (fcntl(fd, F_SETFL, O_APPEND) < 0) {
		int err = -errno;

		close(fd);
		return err;
	}
	*ret_fd = fd;
	return 0;
}

int access_file_open(const struct config *config, int *ret_fd)
{
	switch (config->access_log) {
	case LOG_TARGET_STDOUT:
		*ret_fd = STDOUT_FILENO;
		return 0;
	case LOG_TARGET_STDERR:
		*ret_fd = STDERR_FILENO;
		return 0;
	case LOG_TARGET_FILE:
		return open_file(config->access_log_path, ret_fd);
	case LOG_TARGET_OFF:
	case LOG_TARGET_JOURNAL:
	case LOG_TARGET_COUNT:
		break;
	}
	*ret_fd = -1;
	return 0;
}
