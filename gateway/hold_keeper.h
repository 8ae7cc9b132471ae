/*
 * hold_keeper - the supervisor's side of the holder (holder.h): what must outlive it, and a watch
 * over it, as nobody gets in at such listeners while it is stuck.
 *
 *   no holder ──ready──► watched: a ping every HOLD_KEEPER_PING_MS ──gone──► no holder, epoch + 1
 *                          │ HOLD_KEEPER_PINGS without a word: killed ▲
 *                          └──────────────────────────────────────────┘
 *
 * The process itself is a child (child.h) of the supervisor, which tells the keeper of it and
 * starts the next one.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "config.h"
#include "hold_shared.h"
#include "loop.h"

/* One that has not said a word for so long is killed. */
#define HOLD_KEEPER_PING_MS 250U
#define HOLD_KEEPER_PINGS   4U

struct hold_keeper {
	bool wanted; /* a listener holds clients; without it nothing else counts */
	struct loop *loop;
	size_t n_workers;
	int *holder_fds; /* one for each worker; -1: closed, and so are the next */
	int *worker_fds;
	struct hold_shared *shared;
	uint32_t epoch; /* of the holder that is, or will be */
	struct timer ping;
	unsigned unheard; /* pings without an answer */
	pid_t pid;	  /* 0: none, or it is not ready */
	int channel_fd;
};

/*
 * Before the first fork; loop must outlive it. Without a listener that holds it takes nothing and
 * does nothing. n_backends: of all pools. 0; or a negative errno, and the keeper is zeroed.
 */
int hold_keeper_init(struct hold_keeper *keeper, struct loop *loop, const struct config *config,
	size_t n_workers, size_t n_backends);
/* Takes a zeroed one. */
void hold_keeper_destroy(struct hold_keeper *keeper);

/* In a child: closes what is others'. worker: which it is; n_workers: the holder; -1: another. */
void hold_keeper_leave(struct hold_keeper *keeper, ssize_t worker);

/* The worker's end; -1: nobody is held. */
int hold_keeper_worker_fd(const struct hold_keeper *keeper, size_t worker);

/*
 * The holder is ready, has said something, is gone. channel_fd stays the caller's. A holder that
 * died before it was ready is gone, too: the next one has another epoch.
 */
void hold_keeper_ready(struct hold_keeper *keeper, pid_t pid, int channel_fd);
void hold_keeper_heard(struct hold_keeper *keeper);
void hold_keeper_gone(struct hold_keeper *keeper);

/* A worker has died: its clients go on by another way. Nothing is told if there is no holder. */
void hold_keeper_worker_gone(struct hold_keeper *keeper, size_t worker);

/* Nobody is to be held any more: the holder ends. */
void hold_keeper_end(struct hold_keeper *keeper);
