/*
 * status_page - the gateway at a glance, as a page of HTML: one file with nothing outside of it, no
 * script, light and dark, for desks and phones. It asks for itself again every ten seconds.
 */
#pragma once

#include <jansson.h>
#include <stddef.h>

#include "history.h"

/* Content-Security-Policy of the page: nothing but its own style, named by its hash. */
#define STATUS_PAGE_CSP                                                                         \
	"default-src 'none'; style-src 'sha256-SHs5IUsfx4EUMnd4xOLxkWAQaxMNJTV4OioqqDzmwy4='; " \
	"img-src data:; base-uri 'none'; "                                                      \
	"form-action 'none'; frame-ancestors 'none'"

/*
 * status: the result of the control command "status"; whatever is missing there is not shown.
 * history: NULL if there is none. The page is the caller's, to be freed. 0 or -ENOMEM.
 */
int status_page_html(
	const json_t *status, const struct history *history, char **ret_html, size_t *ret_len);
