#include "pipe_pool.h"

#include <assert.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

/*
 * Theory of operation
 *
 * A pipe is in the list of free ones, or with the stream that took it; made counts both. A pipe
 * that comes back is empty, so the next user cannot see another flow's bytes: that is the caller's
 * duty, and pipe_pool_discard() is there for when it cannot be met. Making one takes three calls
 * and the kernel's memory for its ring, hence the reuse; none is ever closed for being idle, as
 * limit is small.
 */
void pipe_pool_init(struct pipe_pool *pool, size_t limit)
{
	*pool = (struct pipe_pool){ .limit = limit };
}

static struct pipe_pool_pipe *pipe_wrap(int read_fd, int write_fd)
{
	struct pipe_pool_pipe *pipe = malloc(sizeof(*pipe));
	int size;

	if (!pipe)
		return NULL;
	size = fcntl(write_fd, F_GETPIPE_SZ);
	*pipe = (struct pipe_pool_pipe){
		.read_fd = read_fd,
		.write_fd = write_fd,
		.size = size > 0 ? (size_t)size : 4096,
	};
	return pipe;
}

static struct pipe_pool_pipe *pipe_make(void)
{
	struct pipe_pool_pipe *pipe;
	int fds[2];

	if (pipe2(fds, O_NONBLOCK | O_CLOEXEC) < 0)
		return NULL;
	(void)fcntl(fds[1], F_SETPIPE_SZ, (int)PIPE_POOL_SIZE);
	/* What was granted may be less, without anybody being told no: pipe_wrap() looks. */
	pipe = pipe_wrap(fds[0], fds[1]);
	if (!pipe) {
		close(fds[0]);
		close(fds[1]);
	}
	return pipe;
}

struct pipe_pool_pipe *pipe_pool_adopt(struct pipe_pool *pool, int read_fd, int write_fd)
{
	struct pipe_pool_pipe *pipe = pipe_wrap(read_fd, write_fd);

	if (pipe)
		pool->made++;
	return pipe;
}

struct pipe_pool_pipe *pipe_pool_get(struct pipe_pool *pool)
{
	struct pipe_pool_pipe *pipe = pool->free;

	if (pipe) {
		pool->free = pipe->next;
		return pipe;
	}
	if (pool->made >= pool->limit)
		return NULL;
	pipe = pipe_make();
	if (pipe)
		pool->made++;
	return pipe;
}

void pipe_pool_put(struct pipe_pool *pool, struct pipe_pool_pipe *pipe)
{
	if (!pipe)
		return;
	assert(pool->made > 0);
	pipe->next = pool->free;
	pool->free = pipe;
}

void pipe_pool_discard(struct pipe_pool *pool, struct pipe_pool_pipe *pipe)
{
	if (!pipe)
		return;
	assert(pool->made > 0);
	close(pipe->read_fd);
	close(pipe->write_fd);
	free(pipe);
	pool->made--;
}

void pipe_pool_destroy(struct pipe_pool *pool)
{
	while (pool->free) {
		struct pipe_pool_pipe *pipe = pool->free;

		pool->free = pipe->next;
		pipe_pool_discard(pool, pipe);
	}
}
