/*
 * page_style - the style sheet of the status page.
 */
#pragma once

const char *page_style(void);
