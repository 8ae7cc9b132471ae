/*
 * accept_header - what an HTTP client would rather have, RFC 9110 section 12.5.1.
 */
#pragma once

#include <stdbool.h>

/*
 * Whether the value of Accept (NULL: there is none) wants OpenMetrics 1.0 as much as plain text, or
 * more.
 */
bool accept_header_openmetrics(const char *value);
