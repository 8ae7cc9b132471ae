/*
 * render_page FILE - the status page as HTML, of a file of JSON: an array of [time_s, status], from
 * the oldest to the newest. With --csp: the page's Content-Security-Policy.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "history.h"
#include "status_page.h"

static int render(const json_t *steps, struct history *history)
{
	json_t *step;
	char *html = NULL;
	size_t i, len = 0;
	int err;

	json_array_foreach(steps, i, step) history_take(
		history, json_array_get(step, 1), json_integer_value(json_array_get(step, 0)));
	step = json_array_get(steps, json_array_size(steps) - 1);
	err = status_page_html(json_array_get(step, 1), history, &html, &len);
	if (!err)
		fwrite(html, 1, len, stdout);
	free(html);
	return err;
}

int main(int argc, char **argv)
{
	struct history *history = NULL;
	json_t *steps;
	int err;

	if (argc == 2 && strcmp(argv[1], "--csp") == 0)
		return puts(STATUS_PAGE_CSP) < 0;
	steps = argc == 2 ? json_load_file(argv[1], 0, NULL) : NULL;
	err = steps ? history_create(&history) : -EINVAL;
	if (!err)
		err = render(steps, history);
	if (err)
		fprintf(stderr, "render_page: %s\n", strerror(-err));
	history_close(history);
	json_decref(steps);
	return err ? EXIT_FAILURE : EXIT_SUCCESS;
}
