/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* supervisor/whole.h - whether the files on disk may be used, without a question to syncd. */
#pragma once

typedef enum {
	WHOLE_UNKNOWN, /* only syncd can say */
	WHOLE_YES,     /* and no apply begins while the file `master` exists, since before this was asked */
	WHOLE_NOT,     /* something is half applied, or about to be, whether or not a syncd lives that makes it good */
} Whole;

/* @path: where syncd keeps its marks, a character for each ref (syncd/apply/marks.h). Waits for nobody. */
Whole whole_look(const char *path);
