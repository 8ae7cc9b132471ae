/*
 * supervisor_setup - what the supervisor is to run with.
 */
#pragma once

#include "config.h"
#include "estate.h"

struct supervisor_setup {
	const struct config *config;
	const char *path; /* of its file; NULL: it is of the command line */
	int config_fd;	  /* the file as it was read; -1: none */
	char **argv;
	struct estate *estate; /* of the image before this one; NULL: there was none */
};
