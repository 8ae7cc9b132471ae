/*
 * page_style - the style sheet of the status page.
 *
 * It stands in the page itself, which so needs nothing from outside. The page's policy names it by
 * its hash, and a browser drops all of it if a single byte differs.
 */
#pragma once

/* Static; fit for an element <style> as it is. */
const char *page_style(void);
