#include "config_metrics.h"

#include <assert.h>
#include <errno.h>

#define DEFAULT_LISTEN "[::1]:9166"

static int add(struct config_metrics *metrics, const char *text, const char **ret_reason)
{
	struct sockaddr_any addr;
	int err = sockaddr_parse(text, &addr, ret_reason);

	if (err)
		return err;
	for (size_t i = 0; i < metrics->n_listen; i++)
		if (sockaddr_equal(&metrics->listen[i], &addr)) {
			*ret_reason = "this address is given already";
			return -EINVAL;
		}
	if (metrics->n_listen == CONFIG_METRICS_LISTEN_MAX) {
		*ret_reason = "there may be 4 addresses";
		return -EINVAL;
	}
	metrics->listen[metrics->n_listen++] = addr;
	return 0;
}

int config_metrics_walk(struct config_tree *tree, struct config *config, cfg_t *cfg)
{
	const char *reason = "";
	cfg_t *section;
	int err = 0;

	if (!cfg_size(cfg, "metrics"))
		return 0;
	section = cfg_getsec(cfg, "metrics");
	for (unsigned i = 0; i < cfg_size(section, "listen") && !err; i++) {
		const char *text = cfg_getnstr(section, "listen", i);

		err = add(&config->metrics, text, &reason);
		if (err)
			err = config_tree_refused(tree,
				config_tree_line_of_nth(tree, section, "listen", i), err, "listen",
				text, reason);
	}
	if (!err && config->metrics.n_listen == 0) {
		err = add(&config->metrics, DEFAULT_LISTEN, &reason);
		assert(!err);
	}
	return err;
}
