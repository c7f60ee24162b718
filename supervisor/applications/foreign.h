/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * supervisor/applications/foreign.h - instances of an application that somebody else has started: a person, or an operating system that was not told.
 *
 * A thread looks through /proc, because what it reads there may wait for the process it is about: every few seconds while processes are being made, which
 * one number of the kernel's tells without a thread, and once a minute at least. What counts runs the
 * same program, is in nobody's control group of ours, has no terminal (a remote console of the PBX is the same program, too) and was there twice.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <sys/types.h>

/* One application to look for. */
typedef struct {
	char *name;
	char *program; /* absolute path; a script is looked for as the first argument of its interpreter */
	char *unit;    /* its own service, whose processes are not foreign; NULL: none */
} ForeignWanted;

ForeignWanted *foreign_wanted_new(const char *name, const char *program, const char *unit);
void foreign_wanted_free(gpointer wanted);

typedef struct {
	char *name;
	pid_t pid;
} ForeignFound;

typedef struct Foreign Foreign;
/* @found: of ForeignFound*, all there are now; called when that has changed. */
typedef void (*ForeignCb)(GPtrArray *found, gpointer user_data);
/* Answers what to look for; of ForeignWanted*, transfer full. */
typedef GPtrArray *(*ForeignAskCb)(gpointer user_data);

/* Looks, if that is due; to be called every few seconds. */
void foreign_look(Foreign *foreign);
Foreign *foreign_new(ForeignAskCb ask, ForeignCb changed, gpointer user_data);
void foreign_free(Foreign *foreign); /* NULL is fine */

/* Whether a program can tell one application from another: no shell, interpreter or wrapper can. Pure. */
bool foreign_is_telling(const char *program);

/* The newest process there is or was; 0: not known. */
guint64 foreign_newest(const char *proc);

/* The part that looks, for tests: @proc is a folder like /proc. Of ForeignFound*, transfer full. */
GPtrArray *foreign_scan(const char *proc, GPtrArray *wanted);
