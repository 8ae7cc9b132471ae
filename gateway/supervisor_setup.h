/*
 * supervisor_setup - what the supervisor is to run with. Made by main; it and all that it names
 * must outlive the run.
 */
#pragma once

#include "config.h"
#include "estate.h"

struct supervisor_setup {
	const struct config *config;
	const char *path;      /* of its file; NULL: it is of the command line */
	int config_fd;	       /* the file as it was read; -1: none */
	char **argv;	       /* of the process; the next image gets the same. Ends with NULL */
	struct estate *estate; /* of the image before this one; NULL: there was none */
};
