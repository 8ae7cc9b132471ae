#include "net_apply.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "net_step.h"
#include "nft_table.h"

/*
 * Theory of operation
 *
 * A plan has two parts. The first puts in place what is wanted, nftables last; a failure there can
 * be taken back, step by step in reverse, because nothing else has been touched. The second removes
 * what is left over; by then all that is wanted works, so that a failure there takes nothing back.
 *
 * The journal has each step before it is done and after, so that whoever comes after a crash can
 * say how far it went. It decides nothing: what is there is read from the kernel.
 *
 * Only steps that changed something are taken back. A step of which the kernel gave no answer is
 * taken back as if it had: that does nothing if it was not done.
 */

/*
 * Only routes with our mark were read, as there may be very many others. One that is wanted may be
 * among those: each is looked for by itself, in its own table.
 */
int net_apply_drop_done(struct net_channels *channels, struct net_plan *plan)
{
	size_t kept = 0;

	for (size_t i = 0; i < plan->n_steps; i++) {
		const struct net_step *step = &plan->steps[i];
		bool done = false;
		int err =
			step->kind == NET_STEP_ROUTE ? net_step_is_done(channels, step, &done) : 0;

		if (err)
			return err;
		if (!done)
			plan->steps[kept++] = *step;
	}
	plan->n_steps = kept;
	return 0;
}

int net_apply_plan(
	struct net_channels *channels, const struct net_wanted *wanted, struct net_plan *ret_plan)
{
	struct net_state actual = { 0 };
	struct net_plan plan = { 0 };
	char *image = NULL;
	int err;

	err = net_read_state(&channels->route, NET_READ_OURS, &actual);
	if (err)
		goto out;
	if (channels->nft.fd >= 0) {
		err = nft_table_read(&channels->nft, &image);
		if (err == -EPERM || err == -EPROTONOSUPPORT)
			image = NULL;
		else if (err)
			goto out;
	}
	err = net_plan_make(wanted, &actual, image, &plan);
	if (!err)
		err = net_apply_drop_done(channels, &plan);
out:
	free(image);
	net_state_clear(&actual);
	if (err)
		net_plan_clear(&plan);
	else
		*ret_plan = plan;
	return err;
}

struct run {
	net_apply_do *do_step;
	void *userdata;
	const struct net_plan *plan;
	struct net_journal *journal;
	struct net_apply_failure *ret_failure;
	bool failed;
	bool *changed; /* per step: there is something to take back */
};

/* The first failure is the one that is told. */
static void report(struct run *run, size_t step, int error)
{
	struct net_apply_failure *failure = run->ret_failure;

	assert(step <= run->plan->n_steps && error < 0);
	if (run->failed)
		return;
	run->failed = true;
	*failure = (struct net_apply_failure){ .step = step, .error = error };
	if (step > 0)
		net_text_step(&run->plan->steps[step - 1], failure->text);
}

/* Step i, recorded before and after. */
static int do_one(struct run *run, size_t i)
{
	const struct net_step *step = &run->plan->steps[i];
	char text[NET_TEXT_MAX];
	int err;

	err = net_journal_note(run->journal, "do", i + 1, net_text_step(step, text));
	if (err)
		return err;
	err = run->do_step(run->userdata, step, &run->changed[i]);
	if (err == -ETIMEDOUT && step->kind != NET_STEP_NFT)
		run->changed[i] = true;
	if (err)
		return err;
	return net_journal_note(run->journal, "done", i + 1, NULL);
}

/* Takes back what was done up to step last; whether all of it. */
static bool undo(struct run *run, size_t last)
{
	bool all = run->ret_failure->error != -ETIMEDOUT;
	char text[NET_TEXT_MAX];
	struct net_step step;
	bool changed;

	assert(last < run->plan->n_steps);
	for (size_t i = last + 1; i-- > 0;) {
		if (!run->changed[i])
			continue;
		step = net_plan_inverse(&run->plan->steps[i]);
		/* What the journal does not take is taken back all the same. */
		net_journal_note(run->journal, "undo", i + 1, net_text_step(&step, text));
		if (run->do_step(run->userdata, &step, &changed))
			all = false;
		else
			net_journal_note(run->journal, "undone", i + 1, NULL);
	}
	return all;
}

/* The number of steps of the first part, which ends with the last that puts something in place. */
static size_t count_first_part(const struct net_plan *plan)
{
	size_t n = plan->n_steps;

	while (n > 0 && plan->steps[n - 1].remove && plan->steps[n - 1].kind != NET_STEP_NFT)
		n--;
	return n;
}

/* Whether the failure of step i takes back what was done; a replaced table cannot be. */
static bool must_undo(const struct run *run, size_t i)
{
	return i < count_first_part(run->plan) &&
	       !(run->plan->steps[i].kind == NET_STEP_NFT && run->changed[i]);
}

int net_apply_steps(net_apply_do *do_step, void *userdata, const struct net_plan *plan,
	struct net_journal *journal, enum net_apply_mode mode,
	struct net_apply_failure *ret_failure)
{
	struct run run = { .do_step = do_step,
		.userdata = userdata,
		.plan = plan,
		.journal = journal,
		.ret_failure = ret_failure,
		.changed = calloc(plan->n_steps + 1, sizeof(*run.changed)) };
	int err = run.changed ? net_journal_begin(journal, plan->n_steps) : -ENOMEM;

	if (err) {
		report(&run, 0, err);
		ret_failure->undone = true;
		goto out;
	}
	for (size_t i = 0; i < plan->n_steps; i++) {
		err = do_one(&run, i);
		if (!err)
			continue;
		report(&run, i + 1, err);
		if (mode == NET_APPLY_ALL_OR_NOTHING && must_undo(&run, i)) {
			ret_failure->undone = undo(&run, i);
			if (ret_failure->undone)
				net_journal_end(journal);
			goto out;
		}
	}
	err = net_journal_end(journal);
	if (err)
		report(&run, 0, err);
out:
	free(run.changed);
	return run.failed ? ret_failure->error : 0;
}

struct kernel {
	struct net_channels *channels;
	const struct net_wanted *wanted;
};

static int do_in_kernel(void *userdata, const struct net_step *step, bool *ret_changed)
{
	struct kernel *kernel = userdata;

	return net_step_run(kernel->channels, step, kernel->wanted, ret_changed);
}

int net_apply_run(struct net_channels *channels, const struct net_plan *plan,
	const struct net_wanted *wanted, struct net_journal *journal, enum net_apply_mode mode,
	struct net_apply_failure *ret_failure)
{
	struct kernel kernel = { .channels = channels, .wanted = wanted };

	return net_apply_steps(do_in_kernel, &kernel, plan, journal, mode, ret_failure);
}
