/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * syncd/repository/receive.h - packs of very many objects, or of large ones, which git itself takes in.
 *
 * libgit2 keeps a pack mapped while it comes, all of it, and 150 bytes for each object; of a first synchronisation that is more memory than everything else
 * takes. `git index-pack` does it in a process that ends; to start one for each small change would take longer than the change.
 */
#pragma once

#include <git2.h>
#include <glib.h>
#include <stdbool.h>

/* How the names of folders in a repository begin that packs come into. They go with that; those of a process that was killed are sync_repo_heal()'s. */
#define SYNC_RECEIVING "receiving-"

/* What is fetched by @git from now on. */
bool sync_receive_attach(git_repository *git, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* A whole pack, the peer's. */
bool sync_receive_pack(git_repository *git, GBytes *pack, GError **error) G_GNUC_WARN_UNUSED_RESULT;
