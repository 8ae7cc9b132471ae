/*
 * supervisor_state - all that the supervisor has. Known to its own parts only.
 *
 * In the supervisor's process one thread uses it. A child that it forks has a copy, of which it
 * takes what it needs (supervisor_child.h) and never looks at again.
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

/* Forward only; theory at the top of supervisor.c. Its words in "status" follow this order. */
enum supervisor_state {
	STARTING, /* of a successor: those before it serve */
	RUNNING,  /* every worker has been ready at least once */
	DRAINING, /* on the way to the end: no child is replaced any more */
	FAILED,	  /* the start did not work out; those before us, if any, come back */
};

struct supervisor {
	const struct supervisor_setup *setup;
	const struct config *config; /* setup's */
	struct successor *successor;
	struct fd_store store;	     /* what the service manager keeps, should we be killed */
	struct predecessors *before; /* what is left of earlier images; empty without */
	bool trying;		     /* whether a successor could start: nobody is served */
	struct loop loop;
	struct loop_source signals;
	int signal_fd; /* -1: not opened */
	enum supervisor_state state;
	struct socket_set sockets;
	struct net_keeper network;
	bool transparent;      /* workers may ask the broker for sockets */
	struct child *workers; /* by index, which is that of their rows in shared */
	size_t n_workers;
	struct child logger;
	struct child holder;   /* started only if hold.wanted */
	struct child observer; /* started only if the configuration has metrics */
	int history_fd;	       /* what the observer remembers; -1: none */
	int metrics_fds[CONFIG_METRICS_LISTEN_MAX]; /* its sockets; -1: not to be had */
	struct hold_keeper hold;		    /* .loop is NULL before services are started */
	struct shared shared;
	int access_fd; /* of the access log, for the next logger; -1: none is opened */
	struct list_keeper *lists;
	struct checker *checker;
	struct control *control;
	struct control_who who_command;
	struct control_flows flows_command;
	struct orders *orders;
	struct control_orders order_commands;
	void (*keep)(
		struct supervisor *supervisor); /* supervisor_estate_keep, for those below it */
	uint64_t started_ms; /* of the first image of this process, by the loop's clock */
	struct bans *bans;
	struct guard *guard;
	struct resolver *resolver;
	struct timer end_timer;
	struct watchdog watchdog;
};
