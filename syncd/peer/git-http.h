/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* syncd/peer/git-http.h - git's smart HTTP for the peer: a streamed, asynchronous front of `git upload-pack`. */
#pragma once

#include <libsoup/soup.h>
#include <stdbool.h>

/* Serves the bare repository @repository as /repo.git on @server: fetching only, there is nothing by which a peer could write. */
void sync_git_http_serve(SoupServer *server, const char *repository);

/* An environment in which git reads no configuration but the repository's. For GSubprocessLauncher. Transfer full. */
char **sync_git_environment(const char *home);
