#include "stream.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/*
 * Theory of operation
 *
 * Small messages are copied: recv into the worker's spare buffer, send out of it. Mostly all of it
 * is sent at once and the buffer stays the worker's; if not, the stream keeps the buffer and the
 * worker takes a fresh one, so nothing is copied twice and an idle stream owns no memory. When all
 * buffers are held (by readers that have stopped, say), others go on without: bytes are looked at
 * and sent, and only those that the other end took are then taken out of the socket.
 *
 * A stream that fills whole buffers several times in a row is bulk: it gets a pipe and moves pages
 * with splice. Several small gains in a row bring it back. The pipe is kept no longer than bytes
 * are in it or more are expected at once.
 *
 * Sockets are watched edge-triggered. A read that returned less than was asked for has emptied the
 * socket, and its next event is sure to come, so the read that would only say EAGAIN is saved. If
 * the FIN was there before that read, so is the one that would only say "end". Two exceptions:
 * urgent data cuts reads short, and a reset is only told by reading on.
 *
 * At most one of held and pipe_len is non-zero. ended is set once reading has told the end.
 *
 * Nothing is read before what was read earlier has been handed on, so that a reader that has
 * stopped stops the writer through the kernel's windows, and a flow holds one buffer at the most.
 *
 * splice for everything would be simpler, but costs two calls and a pipe for each small message,
 * and cannot put a header in front of the first bytes. A buffer for each flow would be simpler than
 * the spare one, but would cost an idle flow 64 KiB.
 *
 * BULK_*: a pipe pays from some tens of KiB in a row on; leaving takes longer than entering, so
 * that one slow moment of a download does not change its mode. ROUNDS: what one flow may move
 * before others have their turn, 512 KiB by copying.
 */
#define BULK_ENTER_STREAK 4U
#define BULK_LEAVE_STREAK 16U
#define BULK_SMALL	  (16U * 1024U)
#define ROUNDS		  16

int stream_pool_init(
	struct stream_pool *pool, size_t max_buffers, size_t max_pipes, struct stats *stats)
{
	slab_init(&pool->buffers, STREAM_BUFFER_SIZE, max_buffers);
	pipe_pool_init(&pool->pipes, max_pipes);
	pool->stats = stats;
	pool->spare = slab_get(&pool->buffers);
	pool->scratch = malloc(STREAM_BUFFER_SIZE);
	if (pool->spare && pool->scratch)
		return 0;
	stream_pool_destroy(pool);
	return -ENOMEM;
}

void stream_pool_destroy(struct stream_pool *pool)
{
	slab_put(&pool->buffers, pool->spare);
	free(pool->scratch);
	pool->spare = pool->scratch = NULL;
	slab_destroy(&pool->buffers);
	pipe_pool_destroy(&pool->pipes);
}

/* Whether there is a buffer that a stream could keep. */
static bool have_spare(struct stream_pool *pool)
{
	if (!pool->spare)
		pool->spare = slab_get(&pool->buffers);
	return pool->spare != NULL;
}

bool stream_holds(const struct stream *stream)
{
	return stream->held_len > 0 || stream->pipe_len > 0;
}

static void buffer_release(struct stream_pool *pool, struct stream *stream)
{
	slab_put(&pool->buffers, stream->held);
	stream->held = NULL;
}

static void pipe_release(struct stream_pool *pool, struct stream *stream)
{
	assert(stream->pipe_len == 0);
	pipe_pool_put(&pool->pipes, stream->pipe);
	stream->pipe = NULL;
}

void stream_drop(struct stream_pool *pool, struct stream *stream)
{
	buffer_release(pool, stream);
	stream->held_len = 0;
	if (stream->pipe_len > 0)
		pipe_pool_discard(&pool->pipes, stream->pipe);
	else
		pipe_pool_put(&pool->pipes, stream->pipe);
	stream->pipe = NULL;
	stream->pipe_len = 0;
}

/* Bytes taken by the socket, 0 to len; -1 with ret_error on failure. */
static ssize_t end_send(
	struct stream_end *to, const uint8_t *data, size_t len, bool last, int *ret_error)
{
	/* The FIN that comes next travels in the same segment. */
	int flags = MSG_NOSIGNAL | (last ? MSG_MORE : 0);
	ssize_t n;

	do {
		n = send(to->fd, data, len, flags);
	} while (n < 0 && errno == EINTR);
	if (n == (ssize_t)len)
		return n;
	/* Less than all, or nothing, is a full send buffer: the event of room in it will come. */
	if (n < 0 && errno != EAGAIN) {
		*ret_error = errno;
		return -1;
	}
	to->writable = false;
	return n < 0 ? 0 : n;
}

/* Sends len bytes at the start of the spare buffer; what is not taken becomes the stream's. */
static enum stream_status spare_send(struct stream_pool *pool, struct stream *stream,
	struct stream_end *to, size_t len, int *ret_error)
{
	ssize_t n = end_send(to, pool->spare, len, stream->ended, ret_error);

	if (n < 0)
		return STREAM_TO_ERROR;
	stream->bytes += n;
	if ((size_t)n == len)
		return STREAM_DRY;
	assert(!stream->held); /* or its buffer would be lost */
	stream->held = pool->spare;
	stream->held_at = (uint32_t)n;
	stream->held_len = (uint32_t)(len - (size_t)n);
	pool->spare = slab_get(&pool->buffers);
	return STREAM_BLOCKED;
}

static enum stream_status held_send(
	struct stream_pool *pool, struct stream *stream, struct stream_end *to, int *ret_error)
{
	ssize_t n = end_send(
		to, stream->held + stream->held_at, stream->held_len, stream->ended, ret_error);

	if (n < 0)
		return STREAM_TO_ERROR;
	assert((size_t)n <= stream->held_len);
	stream->bytes += n;
	stream->held_at += (uint32_t)n;
	stream->held_len -= (uint32_t)n;
	if (stream->held_len > 0)
		return STREAM_BLOCKED;
	buffer_release(pool, stream);
	return STREAM_DRY;
}

static enum stream_status pipe_send(struct stream *stream, struct stream_end *to, int *ret_error)
{
	while (stream->pipe_len > 0) {
		ssize_t n = splice(stream->pipe->read_fd, NULL, to->fd, NULL, stream->pipe_len,
			SPLICE_F_MOVE | SPLICE_F_NONBLOCK);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN) {
			to->writable = false;
			return STREAM_BLOCKED;
		}
		if (n <= 0) {
			*ret_error = n < 0 ? errno : EIO;
			return STREAM_TO_ERROR;
		}
		assert((size_t)n <= stream->pipe_len); /* or somebody else's bytes were in it */
		stream->bytes += n;
		stream->pipe_len -= (uint32_t)n;
	}
	return STREAM_DRY;
}

/* STREAM_DRY: everything that was read has been handed on. */
static enum stream_status flush(
	struct stream_pool *pool, struct stream *stream, struct stream_end *to, int *ret_error)
{
	assert(stream->held_len == 0 || stream->pipe_len == 0);
	if (!stream_holds(stream))
		return STREAM_DRY;
	if (!to->writable)
		return STREAM_BLOCKED;
	if (stream->held_len > 0)
		return held_send(pool, stream, to, ret_error);
	return pipe_send(stream, to, ret_error);
}

/* What a read that failed means. STREAM_YIELD: try again. */
static enum stream_status read_failed(struct stream_end *from, int error, int *ret_error)
{
	if (error == EINTR)
		return STREAM_YIELD;
	from->readable = false;
	if (error == EAGAIN)
		return STREAM_DRY;
	*ret_error = error;
	return STREAM_FROM_ERROR;
}

/*
 * Reads into the spare buffer behind its first `offset` bytes. STREAM_YIELD: ret_len bytes came;
 * ended or DRY: none did.
 */
static enum stream_status spare_read(struct stream_pool *pool, struct stream *stream,
	struct stream_end *from, size_t offset, size_t *ret_len, int *ret_error)
{
	/* A part of the buffer is read into only by stream_open(). */
	size_t room = STREAM_BUFFER_SIZE - offset;
	ssize_t n = recv(from->fd, pool->spare + offset, room, 0);

	if (n < 0)
		return read_failed(from, errno, ret_error);
	if (n == 0) {
		stream->ended = true;
		return STREAM_ENDED;
	}
	if ((size_t)n < room && !from->urgent) {
		if (from->fin)
			stream->ended = true;
		else if (!from->ending)
			from->readable = false;
	}
	*ret_len = (size_t)n;
	return STREAM_YIELD;
}

/*
 * len bytes came by either way, as what the stream is says nothing of how it was served: bulk that
 * found no pipe is copied, and must find out as well that it is bulk no more.
 */
static void note_read(
	struct stream_pool *pool, struct stream *stream, const struct stream_end *from, size_t len)
{
	bool other = stream->bulk ? len < BULK_SMALL : len == STREAM_BUFFER_SIZE;

	if (!other) {
		stream->streak = 0;
		return;
	}
	if (stream->streak < UINT8_MAX) /* urgent data keeps a stream of full buffers from bulk */
		stream->streak++;
	if (stream->bulk && stream->streak >= BULK_LEAVE_STREAK) {
		stream->bulk = false;
		stream->streak = 0;
	} else if (!stream->bulk && stream->streak >= BULK_ENTER_STREAK && !from->urgent) {
		stream->bulk = true;
		stream->streak = 0;
		stats_add(pool->stats, STATS_BULK_ENTERED, 1);
	}
}

/*
 * Without a buffer to keep: sends what the socket has, and takes out of it what was sent.
 * STREAM_YIELD: go on.
 */
static enum stream_status peek_once(struct stream_pool *pool, struct stream *stream,
	struct stream_end *from, struct stream_end *to, int *ret_error)
{
	ssize_t n = recv(from->fd, pool->scratch, STREAM_BUFFER_SIZE, MSG_PEEK);
	ssize_t sent;

	if (n < 0)
		return read_failed(from, errno, ret_error);
	if (n == 0) {
		stream->ended = true;
		return STREAM_ENDED;
	}
	sent = end_send(to, pool->scratch, (size_t)n, false, ret_error);
	if (sent < 0)
		return STREAM_TO_ERROR;
	stats_add(pool->stats, STATS_BUFFER_MISSES, 1);
	stream->bytes += sent;
	/* With MSG_TRUNC TCP throws away without copying, tcp(7); scratch is not written to. */
	if (sent > 0 && recv(from->fd, pool->scratch, (size_t)sent, MSG_TRUNC) != sent) {
		*ret_error = EIO; /* it was there a moment ago; to go on would send it twice */
		return STREAM_FROM_ERROR;
	}
	return sent == n ? STREAM_YIELD : STREAM_BLOCKED;
}

/* One read and one write through the spare buffer. STREAM_YIELD: go on. */
static enum stream_status copy_once(struct stream_pool *pool, struct stream *stream,
	struct stream_end *from, struct stream_end *to, int *ret_error)
{
	enum stream_status status;
	size_t len = 0;

	if (!have_spare(pool))
		return peek_once(pool, stream, from, to, ret_error);
	status = spare_read(pool, stream, from, 0, &len, ret_error);
	if (status != STREAM_YIELD || len == 0)
		return status;
	note_read(pool, stream, from, len);
	status = spare_send(pool, stream, to, len, ret_error);
	return status == STREAM_DRY ? STREAM_YIELD : status;
}

/*
 * One turn of the pipe. STREAM_YIELD: go on.
 *
 * The pipe is empty here, as pump_once() has flushed, so EAGAIN can only mean the socket. That less
 * came than the pipe has room for says nothing: it holds so many pieces, however small, and a
 * segment is one or more. So the socket counts as readable until it says EAGAIN.
 */
static enum stream_status splice_once(
	struct stream_pool *pool, struct stream *stream, struct stream_end *from, int *ret_error)
{
	ssize_t n = splice(from->fd, NULL, stream->pipe->write_fd, NULL, stream->pipe->size,
		SPLICE_F_MOVE | SPLICE_F_NONBLOCK);

	if (n < 0)
		return read_failed(from, errno, ret_error);
	if (n == 0) {
		/* The end, or the mark of urgent data with the end behind it: recv tells which. */
		stream->bulk = false;
		stream->streak = 0;
		return STREAM_YIELD;
	}
	stream->pipe_len = (uint32_t)n;
	note_read(pool, stream, from, (size_t)n);
	return STREAM_YIELD;
}

/* Whether the next bytes go through a pipe; takes one if so. */
static bool takes_pipe(
	struct stream_pool *pool, struct stream *stream, const struct stream_end *from)
{
	/* splice cannot pass the mark of urgent data. */
	if (!stream->bulk || from->urgent)
		return false;
	if (!stream->pipe)
		stream->pipe = pipe_pool_get(&pool->pipes);
	if (!stream->pipe)
		stats_add(pool->stats, STATS_PIPE_MISSES, 1);
	return stream->pipe != NULL;
}

static enum stream_status pump_once(struct stream_pool *pool, struct stream *stream,
	struct stream_end *from, struct stream_end *to, int *ret_error)
{
	enum stream_status status = flush(pool, stream, to, ret_error);

	if (status != STREAM_DRY)
		return status;
	if (stream->ended)
		return STREAM_ENDED;
	if (!from->readable)
		return STREAM_DRY;
	if (takes_pipe(pool, stream, from))
		return splice_once(pool, stream, from, ret_error);
	return copy_once(pool, stream, from, to, ret_error);
}

enum stream_status stream_pump(struct stream_pool *pool, struct stream *stream,
	struct stream_end *from, struct stream_end *to, int *ret_error)
{
	enum stream_status status = STREAM_YIELD;

	for (int i = 0; i < ROUNDS && status == STREAM_YIELD; i++)
		status = pump_once(pool, stream, from, to, ret_error);
	/* Others may need it before this one has bytes again; it is had back without a call. */
	if (stream->pipe && stream->pipe_len == 0)
		pipe_release(pool, stream);
	return status;
}

/* Sends the front alone, with no buffer for a rest of it: a new socket takes it whole, or fails. */
static enum stream_status front_send(
	struct stream *stream, struct stream_end *to, const void *front, size_t len, int *ret_error)
{
	ssize_t n = end_send(to, front, len, false, ret_error);

	if (n < 0)
		return STREAM_TO_ERROR;
	if ((size_t)n < len) {
		*ret_error = ENOBUFS;
		return STREAM_TO_ERROR;
	}
	stream->bytes += n;
	return STREAM_YIELD;
}

enum stream_status stream_open(struct stream_pool *pool, struct stream *stream,
	struct stream_end *from, struct stream_end *to, const void *front, size_t len,
	int *ret_error)
{
	enum stream_status status = STREAM_DRY;
	size_t more = 0;
	int read_error = 0;

	assert(!stream_holds(stream) && len > 0 && len < STREAM_BUFFER_SIZE);
	stream->bytes = -(int64_t)len;
	if (!have_spare(pool))
		return front_send(stream, to, front, len, ret_error);
	memcpy(pool->spare, front, len);
	if (from->readable)
		status = spare_read(pool, stream, from, len, &more, &read_error);
	if (status == STREAM_FROM_ERROR) {
		*ret_error = read_error;
		return status;
	}
	status = spare_send(pool, stream, to, len + more, ret_error);
	return status == STREAM_DRY ? STREAM_YIELD : status;
}

/* Without a buffer for it the flow could not go on at all, so here a full pool is an error. */
int stream_restore_held(
	struct stream_pool *pool, struct stream *stream, const void *data, size_t len)
{
	assert(!stream_holds(stream));
	if (len == 0 || len > STREAM_BUFFER_SIZE)
		return -EINVAL;
	stream->held = slab_get(&pool->buffers);
	if (!stream->held)
		return -ENOMEM;
	memcpy(stream->held, data, len);
	stream->held_at = 0;
	stream->held_len = (uint32_t)len;
	return 0;
}

int stream_restore_pipe(
	struct stream_pool *pool, struct stream *stream, int read_fd, int write_fd, uint32_t len)
{
	assert(!stream_holds(stream) && !stream->pipe);
	if (len == 0)
		return -EINVAL;
	stream->pipe = pipe_pool_adopt(&pool->pipes, read_fd, write_fd);
	if (!stream->pipe)
		return -ENOMEM;
	stream->pipe_len = len;
	return 0;
}
