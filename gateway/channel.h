/*
 * channel - messages of one byte, with descriptors beside them, between the supervisor and a child
 * (an AF_UNIX, SOCK_SEQPACKET socket pair).
 *
 * Seqpacket, so that a message is whole or not there, keeps its own descriptors, and the death of
 * the other end reads as an end. What bytes mean is the caller's: worker.h, observer.h.
 */
#pragma once

#include <stddef.h>

#define CHANNEL_FDS_MAX 32U /* that may go along */

/*
 * Copies of the descriptors go along, n up to CHANNEL_FDS_MAX; the caller keeps his. Does not wait.
 * 0 or a negative errno: -EAGAIN if the other end does not read, -EPIPE if it is gone,
 * -ETOOMANYREFS if too many descriptors are under way.
 */
int channel_send(int fd, char message, const int *fds, size_t n);

/*
 * Does not wait. As recv(2): 1; 0 at the channel's end; or a negative errno, -EAGAIN if there is no
 * message. The descriptors are the caller's, close-on-exec. Unless it is 1 ret_message and ret_n
 * are untouched. Of a process that is out of descriptors the kernel cuts them off: ret_n may be
 * less than what was sent, so whoever needs a number of them has to look at it.
 */
int channel_receive(int fd, char *ret_message, int ret_fds[CHANNEL_FDS_MAX], size_t *ret_n);
