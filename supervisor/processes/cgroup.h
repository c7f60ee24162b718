/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * supervisor/processes/cgroup.h - one control group per process we start, in the unified hierarchy only.
 *
 * A group is how a process is stopped for certain: cgroup.kill reaches what forked away, and cgroup.events says when nobody is left.
 * (A child group of the old `cpu` hierarchy would lose real time; no other hierarchy is touched.) GLib only: the keeper uses this too.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <sys/types.h>

/* The folder of our own group, from /proc/self/mountinfo and /proc/self/cgroup; without CGROUP_OWN. Transfer full. */
char *cgroup_own(GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* The pure part: @mountinfo and @membership are the texts of those two files. NULL when there is no unified hierarchy. */
char *cgroup_find(const char *mountinfo, const char *membership);

/* Makes @parent/@group/@name (and @parent/@group); transfer full. */
char *cgroup_make(const char *parent, const char *group, const char *name, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Kills every process in @path, children groups included. Success says that the order was given, not that they are gone. */
bool cgroup_kill(const char *path, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Writes @value into @file of the group @path. */
bool cgroup_set(const char *path, const char *file, const char *value, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Gives @controller to the children of @group, a child of @own: our own group, out of which keeper and supervisor step for it, into CGROUP_OWN. */
bool cgroup_enable(const char *own, const char *group, const char *controller, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Makes a group anew. Linux 6.12 and later compare how often the spawner's group and ours have been killed, and kill what is born into a group
 * (CLONE_INTO_CGROUP) that was killed more often: one that was ever killed must not be used again. False while somebody is in it. */
bool cgroup_renew(const char *path) G_GNUC_WARN_UNUSED_RESULT;

/* Whether a process, zombies not counted, is in @path or below. A group that does not exist is empty. */
bool cgroup_is_populated(const char *path);

/* The member that started first; 0 when there is none but such as are exiting. */
pid_t cgroup_oldest(const char *path);

/* Opens cgroup.events for poll(POLLPRI): it wakes whenever `populated` changes. -1 and @error. */
int cgroup_open_events(const char *path, GError **error) G_GNUC_WARN_UNUSED_RESULT;
