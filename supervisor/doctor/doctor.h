/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * supervisor/doctor/doctor.h - why a takeover would not work now, or not well: facts in, findings out. Pure.
 *
 * One table has every code with what it means and what to do; docs/doctor.md is the same for people. A code is what programs, the command
 * line, SNMP and the pages know a finding by; the text is for people.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

#include "supervisor/role/role.h"

typedef enum { DOCTOR_WARNING, DOCTOR_ERROR } DoctorSeverity;

typedef struct {
	const char *code;
	DoctorSeverity severity;
	const char *action;  /* what to do about it */
	bool of_the_pair;    /* both devices find it; it is told once */
	const char *instead; /* the peer's own finding that says the same better, or NULL */
} DoctorCode;

extern const DoctorCode doctor_codes[]; /* ended by a NULL code */
/* Never NULL: a code of somebody newer than this table is a warning. */
const DoctorCode *doctor_code(const char *code);

typedef struct {
	RoleFacts role;      /* what the role machine goes by */
	Role own_role;
	bool resigned_for_health;
	const char *const *election; /* vrrpd's own "code: text", or NULL */
	const char *const *holds;    /* names of vrrpd's holds, or NULL */
	const char *stranger;        /* who speaks for our group, lately; NULL: nobody */
	bool stranger_counts;        /* and is heard: adverts that are not as ours */
	const char *settings_error;  /* "": none */
	bool application_failed;     /* one that is critical */
	const char *const *failed_before; /* beyond help since the last reset, or NULL */
	const char *const *foreign;  /* sentences, or NULL */
	const char *const *missing_programs; /* sentences, or NULL */

	bool revoked;                /* the peer has ended the pairing */

	/* Of the two as they know of each other; NULL while the peer is not connected or has not said it. */
	const char *version, *peer_version;
	const char *pair_hash, *peer_pair_hash;
	GVariant *applications, *peer_applications; /* a{ss}: name to hash */
	bool clock_known;
	gint64 clock_ahead_ms; /* the peer's clock before ours */

	bool sync_absent;
	const char *sync_error; /* "" or NULL: none */
	bool commit_held;       /* by this device, or by the peer of what this one has committed */
	gint64 behind_ms;       /* for so long the Backup has not come closer to what the Master has; 0: it has it, or comes */

	const char *disk;       /* folder of the file system that is nearly full; NULL: none */

	gint64 drill_age_days;  /* since the last drill, or since the two are a pair; -1: not known */
	bool drill_failed;      /* the last one */
	gint64 drill_max_days;  /* 0: never too old */
} DoctorFacts;

#define DOCTOR_CLOCK_MS 2000
#define DOCTOR_BEHIND_MS 60000

/* @last: what was found before, for since_ms, or NULL. Worst first. Floating aa{sv}. */
GVariant *doctor_examine(const DoctorFacts *facts, const char *device, GVariant *last, gint64 now_ms);

/* Our findings and the peer's as one list; @theirs NULL: only ours. Floating aa{sv}. */
GVariant *doctor_merge(GVariant *ours, GVariant *theirs);

/* "code: text" of each. Floating as. */
GVariant *doctor_problems(GVariant *findings);
