/*
 * pipe_pool - empty pipes for splice(2), kept for reuse.
 *
 * Pipes are made when first needed, up to a limit, and are only given back empty. Where the kernel
 * grants less room than asked for (pipe-user-pages-soft), the pipe is used as it is.
 *
 * Whose pipe it is: the pool's while it is free, the stream's from get or adopt to put or discard.
 * Nothing here waits or fails loudly: who gets no pipe copies.
 */
#pragma once

#include <stddef.h>

#define PIPE_POOL_SIZE (512U * 1024U) /* room asked for, bytes */

struct pipe_pool_pipe {
	int read_fd;
	int write_fd;
	size_t size; /* room granted, bytes */
	struct pipe_pool_pipe *next;
};

/* A worker's; one thread. */
struct pipe_pool {
	struct pipe_pool_pipe *free;
	size_t made;  /* free ones and those that are with streams */
	size_t limit; /* beyond it none is made; adopted ones may go over it */
};

/* Empty; limit 0 is a pool that never has a pipe. */
void pipe_pool_init(struct pipe_pool *pool, size_t limit);

/* NULL: at the limit, or no descriptor or memory to be had. */
struct pipe_pool_pipe *pipe_pool_get(struct pipe_pool *pool);

/*
 * A pipe that another process has made and maybe filled, beyond the limit if need be. It is the
 * pool's from now on; NULL without memory, and then it is still the caller's.
 */
struct pipe_pool_pipe *pipe_pool_adopt(struct pipe_pool *pool, int read_fd, int write_fd);

/* The pipe must be empty, as the next to get it would send what is in it. Takes NULL. */
void pipe_pool_put(struct pipe_pool *pool, struct pipe_pool_pipe *pipe);

/* For a pipe that still holds bytes of a flow that ended: closed, never reused. Takes NULL. */
void pipe_pool_discard(struct pipe_pool *pool, struct pipe_pool_pipe *pipe);

/* When every pipe has come back. */
void pipe_pool_destroy(struct pipe_pool *pool);
