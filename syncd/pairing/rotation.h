/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * syncd/pairing/rotation.h - a new key for a device, with the pair kept. Pure.
 *
 * Each device tells the other, at every connection and whenever it changes: its key, its next key, and which keys of the other it accepts. What
 * is told is already on disk. A step depends only on what this device has and what the other told, so nothing has to be remembered of how far
 * the two had come, and what is told twice, late or not at all does no harm:
 *
 *	this device has        the other tells                      then
 *	key K                  (own)                                rotate-key: K2 beside K, told                (K,K2)
 *	key K, next K2         accepts no K2: it does not know yet  wait                                         (K,K2)
 *	key K, next K2         accepts K2                           TURN: K2 is the key, K is gone               (K2)
 *	pin P                  key P, next P2                       ACCEPT: P and P2 are both good               (P|P2)
 *	pin P, next P2         key P                                wait: it has not turned                      (P|P2)
 *	pin P, next P2         key P2                               NARROW: P2 is the pin, P is a stranger's     (P2)
 *	any                    a key that is not accepted           nothing: an old word, or a stranger's
 *
 * In every one of these states each accepts the key that the other shows.
 */
#pragma once

#include <glib.h>

typedef enum {
	SYNC_ROTATION_TURN = 1 << 0,
	SYNC_ROTATION_NARROW = 1 << 1, /* before ACCEPT when there are both */
	SYNC_ROTATION_ACCEPT = 1 << 2,
} SyncRotationStep;

/* Fingerprints; NULL or "": none. */
typedef struct {
	const char *key, *next;     /* this device's */
	const char *pin, *pin_next; /* what it accepts of the other */
} SyncRotationState;

typedef struct {
	const char *key, *next;     /* the other's */
	const char *const *accepts; /* of this device; NULL: did not say */
} SyncRotationWord;

/* The steps to make now, all of them; 0: none. */
guint sync_rotation_step(const SyncRotationState *state, const SyncRotationWord *word);
