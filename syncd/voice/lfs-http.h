/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* syncd/voice/lfs-http.h - Git LFS's basic transfer for the peer, and for stock git-lfs with the right key: giving only. */
#pragma once

#include <libsoup/soup.h>

/* Serves the objects of @folder ("…/lfs", objects.h) below /repo.git/info/lfs on @server:
 *
 *	POST objects/batch     where they are
 *	GET objects/<id>       one, or a range of it */
void sync_lfs_http_serve(SoupServer *server, const char *folder);
