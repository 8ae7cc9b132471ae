/*
 * page_style - the style sheet of the status page.
 */
#pragma once

extern const char page_style[];
