/*
 * stream - moves the bytes of one direction of a TCP flow from one socket to the other.
 *
 * Knows sockets, buffers and pipes; knows nothing of flows, timeouts or who is client. The caller
 * keeps the readiness of both ends up to date from edge-triggered events and calls stream_pump()
 * until it returns something to wait for.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>

#include "pipe_pool.h"
#include "slab.h"
#include "stats.h"

/* A flow holds at most one buffer per direction: 64 KiB of its data in user space. */
#define STREAM_BUFFER_SIZE (32U * 1024U)

/* What all streams of a worker share. */
struct stream_pool {
	struct slab buffers;
	uint8_t *spare;	  /* the buffer that the next read goes to; NULL: none to be had */
	uint8_t *scratch; /* for looking at bytes that stay in the socket, when there is no spare */
	struct pipe_pool pipes;
	struct stats *stats;
};

/* One socket, as its events have shown it. */
struct stream_end {
	int fd;
	bool readable;
	bool writable;
	bool urgent; /* urgent data was seen: reads may stop at its mark, so "short" says nothing */
	bool fin;    /* the peer's FIN has arrived: a read that comes short has read everything */
	bool ending; /* the peer has closed or reset: reads go on to the very end */
};

/* events: EPOLL* bits of its socket, which is watched edge-triggered. */
static inline void stream_note_events(struct stream_end *end, uint32_t events)
{
	if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
		end->readable = true;
	if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
		end->ending = true;
	if ((events & EPOLLRDHUP) && !(events & EPOLLERR))
		end->fin = true;
	if (events & EPOLLPRI)
		end->urgent = true;
	if (events & EPOLLOUT)
		end->writable = true;
}

struct stream {
	uint8_t *held; /* bytes read and not yet taken by the other end */
	uint32_t held_at;
	uint32_t held_len;
	struct pipe_pool_pipe *pipe; /* bulk; only while there is something to move */
	uint32_t pipe_len;
	bool bulk;
	bool ended;	/* the end of the stream was read */
	uint8_t streak; /* reads in a row that speak for the other mode */
	int64_t bytes;	/* of the flow's own, handed to the other end; below 0: in front of them */
};

enum stream_status {
	STREAM_DRY,	   /* nothing more to read now; nothing is held */
	STREAM_BLOCKED,	   /* the other end takes no more now */
	STREAM_YIELD,	   /* has had its turn; call again soon */
	STREAM_ENDED,	   /* all bytes and the end of stream were read, all bytes handed on */
	STREAM_FROM_ERROR, /* ret_error says what reading met; all earlier bytes were handed on */
	STREAM_TO_ERROR,   /* ret_error says what writing met */
};

/* max_buffers, max_pipes: limits. 0 or -ENOMEM. */
int stream_pool_init(
	struct stream_pool *pool, size_t max_buffers, size_t max_pipes, struct stats *stats);
void stream_pool_destroy(struct stream_pool *pool);

/* Moves what can be moved, up to a fair share. ret_error is set with the two errors only. */
enum stream_status stream_pump(struct stream_pool *pool, struct stream *stream,
	struct stream_end *from, struct stream_end *to, int *ret_error);

/*
 * Puts len bytes in front of an untouched stream and sends them, together with what the other end
 * has sent already, in one go.
 */
enum stream_status stream_open(struct stream_pool *pool, struct stream *stream,
	struct stream_end *from, struct stream_end *to, const void *front, size_t len,
	int *ret_error);

/* How many bytes of the flow's own were handed on. */
static inline uint64_t stream_bytes(const struct stream *stream)
{
	return stream->bytes > 0 ? (uint64_t)stream->bytes : 0;
}

/*
 * What another process had read and not handed on, into an untouched stream: bytes that are copied,
 * or a pipe with len bytes in it, which is the stream's from now on. 0; or -ENOMEM, -EINVAL, and
 * then nothing is taken.
 */
int stream_restore_held(
	struct stream_pool *pool, struct stream *stream, const void *data, size_t len);
int stream_restore_pipe(
	struct stream_pool *pool, struct stream *stream, int read_fd, int write_fd, uint32_t len);

/* Whether bytes wait that were read and not yet handed on. */
bool stream_holds(const struct stream *stream);

/* Gives everything back; what was held is lost. */
void stream_drop(struct stream_pool *pool, struct stream *stream);
