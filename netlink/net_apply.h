/*
 * net_apply - carries a plan out, step by step, journaled; undoes it if a step fails.
 *
 * The kernel has the last word: a step whose effect is there already (EEXIST by something that
 * carries our mark, ESRCH or ENOENT of what is gone) counts as done. An address is removed only
 * after it was seen, in the same breath, to carry our mark, since the kernel does not compare the
 * protocol of an address.
 */
#pragma once

#include "net_channels.h"
#include "net_journal.h"
#include "net_plan.h"
#include "net_read.h"

struct net_apply_failure {
	size_t step; /* which one, counted from 1; 0: the journal, before or after all steps */
	int error;   /* negative errno; -ETIMEDOUT: what became of the step is not known */
	bool undone; /* everything that this run had done was taken back */
	char text[NET_TEXT_MAX];
};

enum net_apply_mode {
	NET_APPLY_ALL_OR_NOTHING,     /* the first failure takes back what was done */
	NET_APPLY_AS_FAR_AS_POSSIBLE, /* go on with the next step; the first failure is reported */
};

/* Reads the actual state and makes the plan. nftables that may not be read are left out. */
int net_apply_plan(
	struct net_channels *channels, const struct net_wanted *wanted, struct net_plan *ret_plan);

/*
 * For who makes the plan from a state that has only routes with our mark: takes out what others
 * have put in place.
 */
int net_apply_drop_done(struct net_channels *channels, struct net_plan *plan);

/*
 * Carries out the plan. 0; or a negative errno, and the failure told in ret_failure, which is
 * untouched otherwise. What is removed after all that is added takes nothing back when it fails:
 * then, in either mode, the run goes on, and the first failure is reported. A step that cannot be
 * journaled is not begun. The journal has no "end" if something could not be taken back.
 */
int net_apply_run(struct net_channels *channels, const struct net_plan *plan,
	const struct net_wanted *wanted, struct net_journal *journal, enum net_apply_mode mode,
	struct net_apply_failure *ret_failure);

/*
 * Does one step. 0 and whether it changed anything (something that was there, or gone, already has
 * not: it is not taken back), or a negative errno and then ret_changed is untouched.
 */
typedef int net_apply_do(void *userdata, const struct net_step *step, bool *ret_changed);

/* The same as net_apply_run(), whoever does the steps. */
int net_apply_steps(net_apply_do *do_step, void *userdata, const struct net_plan *plan,
	struct net_journal *journal, enum net_apply_mode mode,
	struct net_apply_failure *ret_failure);
