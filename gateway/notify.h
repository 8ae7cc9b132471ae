/*
 * notify - words to the service manager (sd_notify(3)), which cannot hold us up.
 *
 * sd_notify() waits for as long as the manager does not read. This waits NOTIFY_WAIT_MS at most.
 */
#pragma once

#define NOTIFY_WAIT_MS 500

/*
 * Says text, lines of VARIABLE=VALUE, and passes a copy of fd on; -1: none. 0, also where there is
 * no manager; -EAGAIN if it does not read; else a negative errno.
 */
int notify_send(const char *text, int fd);
