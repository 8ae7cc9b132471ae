/*
 * ctl_orders - prints what has come of an operator's orders.
 */
#pragma once

#include <jansson.h>

int ctl_orders_print_weight(const json_t *result);
int ctl_orders_print_drain(const json_t *result);
int ctl_orders_print_undrain(const json_t *result);
