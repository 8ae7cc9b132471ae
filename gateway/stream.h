/*
 * stream - moves the bytes of one direction of a TCP flow from one socket to the other.
 *
 * Knows sockets, buffers and pipes; knows nothing of flows, timeouts or who is client. The caller
 * keeps the readiness of both ends up to date from edge-triggered events and calls stream_pump()
 * until it returns something to wait for.
 *
 * For a worker's one thread. Nothing here waits, and nothing allocates but a pool that grows to its
 * limits. The errors that are told are errno values as the socket gave them, above 0.
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

/* What all streams of a worker share. It must outlive them. */
struct stream_pool {
	struct slab buffers;
	uint8_t *spare;	  /* the buffer that the next read goes to; NULL: none to be had */
	uint8_t *scratch; /* for looking at bytes that stay in the socket, when there is no spare */
	struct pipe_pool pipes;
	struct stats *stats;
};

/*
 * One socket, as its events have shown it. Set by stream_note_events(), cleared where a call has
 * shown that there is nothing more: an edge-triggered event comes again only after that.
 */
struct stream_end {
	int fd; /* non-blocking; the owner's, here it is never closed */
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

/* One direction. Zeroed: nothing was read yet. To be given back by stream_drop(). */
struct stream {
	uint8_t *held;	  /* a buffer of the pool's with bytes read and not yet taken; NULL: none */
	uint32_t held_at; /* where in it they begin */
	uint32_t held_len;	     /* how many; 0 whenever held is NULL */
	struct pipe_pool_pipe *pipe; /* bulk; only while there is something to move */
	uint32_t pipe_len;	     /* bytes in it */
	bool bulk;	/* what was read last was so much that a pipe is worth its price */
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

/* max_buffers, max_pipes: limits. stats must outlive the pool. 0 or -ENOMEM, with nothing kept. */
int stream_pool_init(
	struct stream_pool *pool, size_t max_buffers, size_t max_pipes, struct stats *stats);
/* When all streams have been dropped. Harmless if repeated. */
void stream_pool_destroy(struct stream_pool *pool);

/*
 * Moves what can be moved, up to a fair share. ret_error is set with the two errors only. After
 * STREAM_ENDED the caller shuts the other end down for writing, at once: the last bytes wait for
 * that FIN in the kernel (MSG_MORE).
 */
enum stream_status stream_pump(struct stream_pool *pool, struct stream *stream,
	struct stream_end *from, struct stream_end *to, int *ret_error);

/*
 * Puts len bytes (0 < len < STREAM_BUFFER_SIZE) in front of an untouched stream and sends them,
 * together with what the other end has sent already, in one go. stream->bytes counts from -len, so
 * it is at least 0 once all of the front is out. STREAM_YIELD: go on with stream_pump();
 * STREAM_BLOCKED: the rest is held; the two errors as above, and nothing of the front was sent if
 * it is STREAM_FROM_ERROR.
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

/* Gives everything back; what was held is lost. Harmless if repeated. The sockets stay open. */
void stream_drop(struct stream_pool *pool, struct stream *stream);
