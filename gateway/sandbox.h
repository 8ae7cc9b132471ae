/*
 * sandbox - what a worker may still do once it serves clients: next to nothing.
 *
 * No capability, no way to get one back (no_new_privs), another user where we are root, and a
 * seccomp filter of the system calls that the relay makes; any other call kills the process. Where
 * all processes are one user, as under systemd, a worker still cannot open, trace or signal
 * another.
 */
#pragma once

/*
 * The user that root's workers run as: user, or "sixgate" if it exists, else "nobody" if NULL.
 * 0 or -ENOENT.
 */
int sandbox_check_user(const char *user);

/* Drops user and capabilities, and sets no_new_privs. 0 or a negative errno. */
int sandbox_drop_privileges(const char *user);

/* The same, but for CAP_NET_ADMIN. */
int sandbox_drop_to_net_admin(const char *user);

/* Loads the filter of the process that holds packets (holder.h). Call it last. */
int sandbox_filter_holder(void);

/* The same for the process that answers HTTP (observer.h). */
int sandbox_filter_observer(void);

/* Loads the filter. Call it last. 0 or a negative errno. */
int sandbox_filter(void);
