/*
 * std_streams - descriptors 0 to 2 are what programs believe they are, and what is printed arrives.
 *
 * A program that is started with one of them closed would get it for its next file or socket, and
 * then log into a client's connection.
 */
#pragma once

/*
 * First of all: those that are closed become /dev/null, opened the wrong way round, so that reading
 * and writing still fail. 0 or a negative errno.
 */
int std_streams_open(void);

/*
 * At the end: 0, or EX_IOERR if not all that was printed has been taken, after a line on standard
 * error that begins with the program's name.
 */
int std_streams_flush(const char *program);
