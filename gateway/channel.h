/*
 * channel - messages of one byte, with descriptors beside them, between the supervisor and a child
 * (an AF_UNIX, SOCK_SEQPACKET socket pair).
 */
#pragma once

#include <stddef.h>

#define CHANNEL_FDS_MAX 32U /* that may go along */

/* Copies of the descriptors go along. Does not wait. 0 or a negative errno. */
int channel_send(int fd, char message, const int *fds, size_t n);

/*
 * Does not wait. As recv(2): 1; 0 at the channel's end; or a negative errno. The descriptors are
 * the caller's.
 */
int channel_receive(int fd, char *ret_message, int ret_fds[CHANNEL_FDS_MAX], size_t *ret_n);
