/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * syncd/files/disk.h - waiting for the disk, and not waiting when there is haste.
 *
 * Every fsync() of this process, those of libgit2 too, is carried out by one thread in the order in which they were asked for; those of the threads
 * that deal with recordings by another, so that nobody else waits behind so many bytes. Whoever asks waits for it, as ever; but not while somebody
 * has called sync_disk_hurry(): then he goes on at once, also one who has begun to wait, and the disk comes later. So no order that phones wait for
 * (a takeover, the last step of a swap) waits for a disk.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

/* What the calling thread asks for from now on holds up only others who have called this; "everything" below is what these have asked for. */
void sync_disk_apart(void);

/* Counted; from any thread. */
void sync_disk_hurry(void);
void sync_disk_calm(void);

/* Between the two, what the calling thread asks for need not be on disk before the second returns: a few files are waited for together, many
 * by their file systems. -1 and errno when the disk will not have it. May be one within the other: the outer one counts. */
void sync_disk_gather(void);
int sync_disk_gathered(void);

/* As syncfs(). */
int sync_disk_file_system(int fd);

/* Whether everything that was asked for is on disk, once at most @patience_us have gone. */
bool sync_disk_is_lasting(gint64 patience_us);

/* What is written in bulk, one file after the other, and not read again: it is begun to be written at once, and leaves the memory some files later,
 * which the next ones take in its place. Begins as zero. */
enum { SYNC_DISK_TRAIL = 32 };
typedef struct {
	int fds[SYNC_DISK_TRAIL]; /* + 1, our own copies; 0: none */
	guint at;
} SyncDiskTrail;
void sync_disk_trail_add(SyncDiskTrail *trail, int fd);
void sync_disk_trail_end(SyncDiskTrail *trail);

/* As syncfs(), and nobody waits for it, nor behind it: @function runs in @context when it is done, and never when the disk will not have it. */
void sync_disk_later(int fd, GMainContext *context, GSourceFunc function, gpointer data);

/* The same while more of it comes, told to nobody: whoever calls the above afterwards has little left to wait for, and holds up little else at the
 * disk. Nothing while an earlier one is under way. What the disk will not have then counts for the next of the above. */
void sync_disk_begin(int fd);
