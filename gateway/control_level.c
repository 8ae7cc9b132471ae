#include "control_level.h"

#include <errno.h>
#include <stdint.h>

#include "log.h"

static int run_level(
	void *userdata, const json_t *args, json_t **ret_result, struct control_error *error)
{
	const struct config *config = userdata;
	const char *text = control_text(args, "level"), *reason = "";
	enum log_level before = log_get_level();
	int level = 0;

	if (text && config_parse_log_level(text, &level, &reason) < 0)
		return control_fail(
			error, -EINVAL, CONTROL_BAD_ARGUMENT, "level \"%.64s\": %s", text, reason);
	if (text)
		log_set_level((enum log_level)level);
	*ret_result = json_pack("{s:s, s:s, s:s}", "level", log_level_name(log_get_level()),
		"before", log_level_name(before), "configured",
		log_level_name((enum log_level)config->log_level));
	return *ret_result ? 0 : -ENOMEM;
}

void control_level_add(struct control *control, const struct config *config)
{
	const struct control_command command = {
		.name = "log-level",
		.summary = "which lines the log has; changes that, until the next reload",
		.writes_with = "level",
		.params = { { "level", CONTROL_TEXT, false } },
		.run = run_level,
		.userdata = (void *)(uintptr_t)config, /* it is only read */
	};

	control_add(control, &command);
}
