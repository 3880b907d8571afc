"""Every size limit and every deadline, with its default. Each is a setting: `limits.NAME`."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, PositiveInt

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB

_LONGEST = 1e9  # seconds, 31 years: what every clock and timer of a system still takes

Seconds = Annotated[float, Field(gt=0, le=_LONGEST)]
SecondsOrNone = Annotated[float, Field(ge=0, le=_LONGEST)]
DatabaseSeconds = Annotated[float, Field(ge=0.01, le=86_400)]
"""Servers count them in milliseconds, in 32 bits, and take 0 for "as long as it takes"."""


class Limits(BaseModel):
    """How much of anything, and how long for anything."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    header_bytes: PositiveInt = Field(32_000, description="Bytes of a request's line and headers together.")
    header_seconds: Seconds = Field(10.0, description="Time in which a request's headers must have arrived.")
    body_silent_seconds: Seconds = Field(60.0, description="Longest silence while a request's body arrives.")
    body_minimum_rate: PositiveInt = Field(
        1_000,
        description="Bytes a second that a request's body must bring on average while it is waited for, counted each"
        " time that the longest silence has been waited in all.",
    )
    send_silent_seconds: Seconds = Field(60.0, description="Longest time a client may take to accept any byte.")
    idle_seconds: Seconds = Field(75.0, description="How long a connection without a request is kept open.")
    linger_seconds: Seconds = Field(
        2.0, description="How long a refused client may keep silent before its connection is ended."
    )
    linger_most_seconds: Seconds = Field(
        30.0, description="How long it may go on sending what is not read any more, as some do before they read."
    )
    pipelined_requests: PositiveInt = Field(
        64, description="Requests that may wait behind another on their connection; those beyond it are not answered."
    )
    connections: PositiveInt = Field(2_000, description="Connections served at once; further ones get 503.")
    drain_seconds: Seconds = Field(30.0, description="Time in which requests and jobs finish after SIGTERM.")
    check_seconds: Seconds = Field(5.0, description="Time in which each check of /readyz answers.")
    ranges_asked: PositiveInt = Field(1_000, description="Ranges that a request may name; more are ignored.")
    ranges_answered: PositiveInt = Field(32, description="Ranges that are answered in parts; more: the whole file.")

    upstream_connect_seconds: Seconds = Field(5.0, description="Time to reach an upstream.")
    upstream_silent_seconds: Seconds = Field(20.0, description="Longest silence of an upstream.")
    upstream_page_seconds: Seconds = Field(60.0, description="Time for a whole page of an upstream.")
    upstream_stale_seconds: Seconds = Field(
        0.9, description="Longest wait for an upstream where something older can be served instead."
    )
    upstream_page_bytes: PositiveInt = Field(100 * MIB, description="An upstream's page, after decompression.")
    upstream_attempts: PositiveInt = Field(5, description="Tries of one transfer that makes no progress in between.")
    upstream_redirects: NonNegativeInt = Field(5, description="Redirects that are followed, each checked anew.")
    upstream_flights: PositiveInt = Field(64, description="Transfers from upstreams at once; further ones wait.")
    upstream_minimum_rate: PositiveInt = Field(
        1_000, description="Bytes a second that a transfer must bring on average over 60 s, or it is begun anew."
    )
    stage_seconds: Seconds = Field(
        120.0, description="Longest silence of an archive that was asked to bring a file near; others are upstreams'."
    )
    unknown_seconds: Seconds = Field(10.0, description="How long an upstream's 'no such project' is remembered.")
    breaker_seconds: Seconds = Field(30.0, description="Longest pause between two looks at a dead upstream.")

    form_fields: PositiveInt = Field(
        11_000,
        description="Fields of an upload's form (413 beyond any of these); twine sends one for each of METADATA's.",
    )
    form_field_bytes: PositiveInt = Field(10 * MIB, description="One of them, such as a description.")
    form_bytes: PositiveInt = Field(16 * MIB, description="All of them together, without the file.")
    form_header_bytes: PositiveInt = Field(8 * KIB, description="What such a form says of one field: its header.")
    metadata_bytes: PositiveInt = Field(10 * MIB, description="A distribution's METADATA.")
    metadata_fields: PositiveInt = Field(10_000, description="Fields of an uploaded METADATA.")
    metadata_field_bytes: PositiveInt = Field(
        16 * KIB, description="One of these fields, unless it is the description, the license or the keywords."
    )
    metadata_fields_bytes: PositiveInt = Field(
        512 * KIB, description="Bytes of these fields without the description; also of an uploaded WHEEL."
    )
    record_bytes: PositiveInt = Field(10 * MIB, description="An uploaded wheel's RECORD.")
    archive_members: PositiveInt = Field(50_000, description="Files and folders in an uploaded archive.")
    archive_bytes: PositiveInt = Field(16 * GIB, description="What an uploaded archive inflates to.")
    archive_ratio: PositiveInt = Field(
        50, description="How many times its size an uploaded archive inflates to, beyond its first bytes."
    )
    archive_ratio_bytes: NonNegativeInt = Field(64 * MIB, description="The first bytes, for which any ratio will do.")
    archive_path_bytes: PositiveInt = Field(1_024, description="A path in an uploaded archive.")
    archive_path_depth: PositiveInt = Field(64, description="Levels of such a path.")
    archive_directory_bytes: PositiveInt = Field(
        8 * MIB, description="All names in an uploaded archive together: a zip's central directory, a tar's paths."
    )
    archive_header_bytes: PositiveInt = Field(64 * KIB, description="A long name or pax header in an uploaded tar.")
    file_bytes: PositiveInt = Field(64 * GIB, description="One file.")
    small_bytes: NonNegativeInt = Field(
        64 * KIB, description="The largest file that is kept together with others in a segment; 0: none is."
    )
    segment_bytes: PositiveInt = Field(256 * MIB, description="Length at which a segment is full.")
    page_files: PositiveInt = Field(200_000, description="Files on one project's page.")
    page_cache_bytes: PositiveInt = Field(64 * MIB, description="Rendered pages kept in memory.")
    shelf_bytes: NonNegativeInt = Field(32 * MIB, description="Small files that are asked for often, kept in memory.")
    shelf_file_bytes: PositiveInt = Field(256 * KIB, description="The largest of them.")
    known_projects: PositiveInt = Field(20_000, description="Projects kept in memory, apart from their pages.")
    known_files: PositiveInt = Field(20_000, description="File addresses kept in memory.")

    password_characters: PositiveInt = Field(8, description="The fewest characters that a new password has.")
    password_bytes: PositiveInt = Field(1_024, description="The most bytes that a password has; more are not hashed.")
    password_seconds: SecondsOrNone = Field(
        300.0, description="How long a password that was right is known again without hashing it anew."
    )
    waiting_logins: PositiveInt = Field(
        32, description="Passwords, and sign-ins elsewhere, that wait at once; beyond it 503."
    )
    login_failures: PositiveInt = Field(
        10, description="Wrong passwords for one account before each further try has to wait (429)."
    )
    login_failures_address: PositiveInt = Field(
        40, description="The same from one address for all accounts; and, apart, a provider's codes."
    )
    login_seconds: Seconds = Field(30.0, description="How long such a wait is: one more try each.")
    known_accounts: PositiveInt = Field(
        10_000, description="Tokens, sessions and right passwords kept in memory, each."
    )
    session_seconds: Seconds = Field(2_592_000.0, description="Age at which a session ends (30 days).")
    session_idle_seconds: Seconds = Field(604_800.0, description="Time without a request after which it ends (7 days).")
    sessions: PositiveInt = Field(50, description="Sessions of one user; beyond it the one unused for longest ends.")
    device_seconds: Seconds = Field(
        31_536_000.0,
        description="How long a browser that signed in is not slowed with the account (1 year).",
    )
    secret_seconds: Seconds = Field(
        604_800.0, description="How long what was signed with a replaced secret is still believed (7 days)."
    )
    first_seconds: Seconds = Field(1_800.0, description="How long the link for the first administrator works.")
    sign_in_seconds: Seconds = Field(600.0, description="How long somebody may take at the provider to sign in.")
    provider_seconds: Seconds = Field(10.0, description="Time for one answer of the provider of OpenID Connect.")
    provider_bytes: PositiveInt = Field(MIB, description="Bytes of such an answer.")
    provider_fresh_seconds: Seconds = Field(
        3_600.0, description="How long the provider's addresses and keys are taken as fresh."
    )
    provider_keys_seconds: Seconds = Field(
        60.0, description="Least time between two looks at the provider's keys, for one that is not among them."
    )
    registrations_address: PositiveInt = Field(
        10, description="Registrations from one address before each further one waits `limits.login_seconds` (429)."
    )
    prefetch_files: PositiveInt = Field(8, description="Files that a prefetch brings at once.")
    prefetch_seconds: Seconds = Field(
        86_400.0, description="How long a prefetch waits for an upstream before what is left counts as failed (1 day)."
    )
    prefetch_bytes: PositiveInt = Field(10 * MIB, description="Bytes of the JSON that asks for a prefetch (413).")
    cart_files: PositiveInt = Field(200_000, description="Files in a data cart (413).")
    cart_child_files: PositiveInt = Field(
        5_000, description="So many files of a cart, or more, are planned and staged by a child process."
    )
    cart_json_bytes: PositiveInt = Field(32 * MIB, description="Bytes of the JSON that asks for one (413).")
    cart_stage_seconds: Seconds = Field(
        604_800.0,
        description="How long an archive may take to say what a file is, to bring it near, or to send it, before that"
        " file counts as failed (7 days).",
    )
    cart_live: PositiveInt = Field(
        4, description="Carts downloaded while they are staged (`?wait=1`); further ones 202."
    )
    cart_path_bytes: PositiveInt = Field(4_096, description="The path of a file in a cart.")
    elf_seconds: Seconds = Field(30.0, description="How long a look at a built wheel's compiled code may take.")
    elf_bytes: Annotated[int, Field(ge=64 * MIB)] = Field(
        GIB, description="Memory of the process that looks at it; a wheel that takes more is on no page."
    )
    wheel_keys: PositiveInt = Field(1_000, description="Keys of built wheels in one question (413).")
    wheel_leases: PositiveInt = Field(
        1_000, description="Builds that one token, or a user with a password, may have promised at once (429)."
    )
    wheel_lease_seconds: Seconds = Field(
        60.0, description="How long a builder may keep silent before somebody else builds it."
    )
    wheel_wait_seconds: Seconds = Field(60.0, description="The longest that a request waits for another's build.")
    wheel_failure_seconds: Seconds = Field(
        86_400.0, description="How long a build's failure is remembered, at first; each time twice as long (1 day)."
    )
    wheel_failure_most_seconds: Seconds = Field(604_800.0, description="The longest that it is (7 days).")
    wheel_handed_seconds: Seconds = Field(
        7_776_000.0,
        description="How long a built wheel stays that pip was handed, for it may stand in a lock (90 days).",
    )
    dav_body_bytes: PositiveInt = Field(256 * KIB, description="Bytes of a WebDAV request's XML (413).")
    dav_depth: PositiveInt = Field(32, description="Levels of elements in it (413).")
    dav_elements: PositiveInt = Field(1_000, description="Elements in it (413), unless it sets properties.")
    dav_patch_elements: PositiveInt = Field(5_000, description="Elements in one that sets properties (413).")
    dav_prefixes: PositiveInt = Field(64, description="Prefixes of namespaces that are in scope at once in it (413).")
    dav_properties: PositiveInt = Field(
        200, description="Properties that it may name (413), and that a file or folder may be given."
    )
    dav_property_bytes: PositiveInt = Field(64 * KIB, description="The value of one, as it is kept (413).")
    dav_entries: PositiveInt = Field(10_000, description="Files and folders that `Depth: infinity` lists (403).")
    dav_cache_bytes: PositiveInt = Field(32 * MIB, description="Answers about large folders kept in memory.")
    dav_locks: PositiveInt = Field(1_000, description="WebDAV locks that one space may have at once (507).")
    dav_lock_seconds: Seconds = Field(3_600.0, description="How long a WebDAV lock lives that names no other time.")
    dav_lock_most_seconds: Seconds = Field(86_400.0, description="The longest that one lives without being renewed.")
    search_rows: PositiveInt = Field(
        200_000, description="Folders, and names of other letters than ASCII's, that one search in files looks at."
    )
    if_bytes: PositiveInt = Field(16 * KIB, description="Bytes of an `If` header (400).")
    if_lists: PositiveInt = Field(64, description="Lists of conditions in one (400).")
    json_bytes: PositiveInt = Field(
        64 * KIB, description="Bytes of a request's JSON about accounts and jobs (413 beyond it)."
    )
    results: PositiveInt = Field(1_000, description="The most entries that one answer lists.")

    reserve_bytes: NonNegativeInt = Field(GIB, description="Disk space that is left free (507 below it).")
    reserve_share: float = Field(
        0.02, ge=0, lt=1, description="The same as a share of the disk; the smaller of the two holds."
    )
    waiting_writes: PositiveInt = Field(1_024, description="Database writes that may wait in a process.")
    waiting_seconds: Seconds = Field(5.0, description="How long a write waits for a place among them (503).")
    lock_seconds: DatabaseSeconds = Field(
        10.0, description="How long a write waits for another process's; one that does nothing ends after half of it."
    )
    statement_seconds: DatabaseSeconds = Field(30.0, description="How long a database server may take for a statement.")
    sweep_grace_seconds: Seconds = Field(86_400.0, description="Age at which unreferenced bytes are deleted.")
    evict_grace_seconds: Seconds = Field(60.0, description="Time between evicting a file and deleting it.")
    sweep_share: float = Field(
        0.5,
        gt=0,
        le=1,
        description="A sweep or eviction by age that would take more than this share of all blobs stops and says so.",
    )
    sweep_blobs: PositiveInt = Field(10_000, description="Blobs that one sweep or eviction takes at most.")
    pause_seconds: Seconds = Field(
        60.0, description="A backup that is silent for so long keeps sweeps from deleting no more."
    )
    scrub_bytes: PositiveInt = Field(50 * MIB, description="Bytes a second that a scrub reads.")
    scrub_seconds: Seconds = Field(
        20.0, description="How long the hub's own scrub reads at once, every ten minutes; it ends with a whole file."
    )
    scrub_pass_seconds: Seconds = Field(
        2_592_000.0, description="Time in which the hub's own scrub reads everything once (30 days)."
    )
    part_seconds: Seconds = Field(3_600.0, description="Age at which a part file that nobody writes is deleted.")
    uses_seconds: Seconds = Field(5.0, description="How often it is written down which blobs were read.")
    job_threads: PositiveInt = Field(2, description="Jobs at once in a process.")
    job_lease_seconds: Seconds = Field(60.0, description="A job whose process is silent for so long runs again.")
    job_poll_seconds: Seconds = Field(1.0, description="How often a process looks for jobs that others enqueued.")
    job_attempts: PositiveInt = Field(5, description="Tries of a job before it counts as failed.")
    job_retry_seconds: SecondsOrNone = Field(
        2.0, description="Pause after a job's first failed try; each further one is four times as long, up to an hour."
    )
    jobs_kept: PositiveInt = Field(
        1_000, description="Rows of jobs that are kept: of done, failed and cancelled ones each."
    )
    jobs_kept_seconds: Seconds = Field(604_800.0, description="Age at which rows of finished jobs are deleted.")
    schema_lock_seconds: Seconds = Field(
        600.0, description="How long an upgrade of the database waits for another process's upgrade."
    )
    database_threads: PositiveInt = Field(4, description="Threads that read the database.")
    disk_threads: PositiveInt = Field(8, description="Threads that read and write files.")
    cpu_threads: PositiveInt = Field(2, description="Threads that hash, render and compress.")
