/*
 * supervisor_state - all that the supervisor has. Known to its own parts only.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bans.h"
#include "checker.h"
#include "child.h"
#include "config.h"
#include "control.h"
#include "control_flows.h"
#include "control_orders.h"
#include "control_who.h"
#include "fd_store.h"
#include "guard.h"
#include "hold_keeper.h"
#include "list_keeper.h"
#include "loop.h"
#include "net_keeper.h"
#include "orders.h"
#include "predecessors.h"
#include "resolver.h"
#include "shared.h"
#include "socket_set.h"
#include "successor.h"
#include "supervisor_setup.h"
#include "watchdog.h"

enum supervisor_state {
	STARTING, /* of a successor: those before it serve */
	RUNNING,
	DRAINING,
	FAILED, /* the start did not work out */
};

struct supervisor {
	const struct supervisor_setup *setup;
	const struct config *config;
	struct successor *successor;
	struct fd_store store; /* what the service manager keeps, should we be killed */
	struct predecessors *before;
	bool trying; /* whether a successor could start: nobody is served */
	struct loop loop;
	struct loop_source signals;
	int signal_fd;
	enum supervisor_state state;
	struct socket_set sockets;
	struct net_keeper network;
	bool transparent; /* workers may ask the broker for sockets */
	struct child *workers;
	size_t n_workers;
	struct child logger;
	struct child holder;
	struct child observer;
	int history_fd;				    /* what the observer remembers; -1: none */
	int metrics_fds[CONFIG_METRICS_LISTEN_MAX]; /* its sockets; -1: not to be had */
	struct hold_keeper hold;
	struct shared shared;
	int access_fd;
	struct list_keeper *lists;
	struct checker *checker;
	struct control *control;
	struct control_who who_command;
	struct control_flows flows_command;
	struct orders *orders;
	struct control_orders order_commands;
	void (*keep)(
		struct supervisor *supervisor); /* supervisor_estate_keep, for those below it */
	uint64_t started_ms;
	struct bans *bans;
	struct guard *guard;
	struct resolver *resolver;
	struct timer end_timer;
	struct watchdog watchdog;
};
