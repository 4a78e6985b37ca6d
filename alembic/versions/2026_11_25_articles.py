"""Articles for patients, shipped and the clinic's own, and who was given which."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None

BOUND = "nullif(current_setting('app.clinic_id', true), '')::uuid"

# table: columns that may change after the insert ("" all)
CHANGING = {
    "articles": "",
    "article_assignments": (
        " (read_at, answer, correct, answered_at, withdrawn_at, withdrawn_reason, updated_at, version)"
    ),
}


def upgrade() -> None:
    op.create_table(
        "articles",
        *_key(),
        sa.Column("scope", sa.String(40), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("language", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("reading_level", sa.Text(), server_default="", nullable=False),
        sa.Column("concepts", postgresql.ARRAY(sa.Text()), server_default=sa.text("'{}'::text[]"), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("sources", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("check_question", postgresql.JSONB(), nullable=True),
        sa.Column("status", sa.String(40), server_default="draft", nullable=False),
        sa.Column("approved_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("approved_by_id", sa.Uuid(), nullable=True),
        sa.Column("retired_at", sa.DateTime(timezone=True), nullable=True),
        *_versioned(),
        sa.CheckConstraint("scope IN ('library', 'clinic')", name=op.f("ck_articles_scope")),
        sa.CheckConstraint("status IN ('draft', 'approved', 'retired')", name=op.f("ck_articles_status")),
        sa.CheckConstraint("char_length(title) BETWEEN 1 AND 200", name=op.f("ck_articles_title")),
        sa.CheckConstraint("cardinality(sources) >= 1", name=op.f("ck_articles_sources")),
        sa.CheckConstraint("status <> 'approved' OR approved_at IS NOT NULL", name=op.f("ck_articles_approved")),
        sa.CheckConstraint("(approved_at IS NULL) = (approved_by_id IS NULL)", name=op.f("ck_articles_approval")),
        sa.CheckConstraint("(status = 'retired') = (retired_at IS NOT NULL)", name=op.f("ck_articles_retired")),
        *_keys("articles", approved_by_id="therapists"),
    )
    op.create_index("uq_articles_code", "articles", ["clinic_id", "code", "language"], unique=True)
    op.create_index("ix_articles_title", "articles", ["clinic_id", "title", "id"])
    op.create_table(
        "article_assignments",
        *_key(),
        sa.Column("patient_id", sa.Uuid(), nullable=False),
        sa.Column("article_id", sa.Uuid(), nullable=False),
        sa.Column("article_version", sa.Integer(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("language", sa.Text(), nullable=False),
        sa.Column("article", postgresql.JSONB(), nullable=False),
        sa.Column("reason", sa.String(40), nullable=False),
        sa.Column("rule_id", sa.Text(), nullable=True),
        sa.Column("rule_version", sa.Text(), nullable=True),
        sa.Column("inputs", postgresql.JSONB(), nullable=True),
        sa.Column("note", sa.Text(), server_default="", nullable=False),
        sa.Column("assigned_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("assigned_by_id", sa.Uuid(), nullable=True),
        sa.Column("read_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("answer", sa.Integer(), nullable=True),
        sa.Column("correct", sa.Boolean(), nullable=True),
        sa.Column("answered_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("withdrawn_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("withdrawn_reason", sa.String(40), nullable=True),
        *_versioned(),
        sa.CheckConstraint("reason IN ('therapist', 'phase', 'trigger')", name=op.f("ck_article_assignments_reason")),
        sa.CheckConstraint(
            "withdrawn_reason IN ('by_therapist', 'article_retired')",
            name=op.f("ck_article_assignments_withdrawn_reason"),
        ),
        sa.CheckConstraint(
            "(reason = 'therapist') = (assigned_by_id IS NOT NULL)", name=op.f("ck_article_assignments_by")
        ),
        sa.CheckConstraint(
            "(reason = 'therapist') = (rule_id IS NULL) AND (rule_id IS NULL) = (rule_version IS NULL)",
            name=op.f("ck_article_assignments_rule"),
        ),
        sa.CheckConstraint("read_at IS NULL OR withdrawn_at IS NULL", name=op.f("ck_article_assignments_read")),
        sa.CheckConstraint(
            "(withdrawn_at IS NULL) = (withdrawn_reason IS NULL)", name=op.f("ck_article_assignments_withdrawn")
        ),
        sa.CheckConstraint(
            "(answer IS NULL) = (correct IS NULL) AND (answer IS NULL) = (answered_at IS NULL)"
            " AND (answer IS NULL OR read_at IS NOT NULL)",
            name=op.f("ck_article_assignments_answered"),
        ),
        *_keys("article_assignments", patient_id="patients", article_id="articles", assigned_by_id="therapists"),
    )
    op.create_index(
        "uq_article_assignments_waiting",
        "article_assignments",
        ["clinic_id", "patient_id", "code"],
        unique=True,
        postgresql_where=sa.text("read_at IS NULL AND withdrawn_at IS NULL"),
    )
    op.create_index(
        "ix_article_assignments_patient_id", "article_assignments", ["clinic_id", "patient_id", "assigned_at", "id"]
    )
    op.create_index("ix_article_assignments_article_id", "article_assignments", ["clinic_id", "article_id"])
    for table, columns in CHANGING.items():
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
        op.execute(
            f"CREATE POLICY clinic ON {table} TO physio_api, physio_worker"
            f" USING (clinic_id = {BOUND}) WITH CHECK (clinic_id = {BOUND})"
        )
        op.execute(f"GRANT SELECT, INSERT ON {table} TO physio_api, physio_worker")
        op.execute(f"GRANT UPDATE{columns} ON {table} TO physio_api, physio_worker")


def downgrade() -> None:
    op.drop_table("article_assignments")
    op.drop_table("articles")


def _key() -> list[sa.Column]:
    return [
        sa.Column("clinic_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), server_default=sa.text("uuidv7()"), nullable=False),
    ]


def _versioned() -> list[sa.Column]:
    now = sa.text("now()")
    return [
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=now, nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=now, nullable=False),
        sa.Column("version", sa.Integer(), server_default=sa.text("1"), nullable=False),
    ]


def _keys(table: str, **targets: str) -> list[sa.Constraint]:
    """Give the primary key, the tie to the clinic, and links to rows of the same clinic."""
    return [
        sa.PrimaryKeyConstraint("clinic_id", "id", name=op.f(f"pk_{table}")),
        sa.ForeignKeyConstraint(["clinic_id"], ["clinics.id"], name=op.f(f"fk_{table}_clinic_id")),
        *(
            sa.ForeignKeyConstraint(
                ["clinic_id", column],
                [f"{target}.clinic_id", f"{target}.id"],
                name=op.f(f"fk_{table}_clinic_id_{column}"),
            )
            for column, target in targets.items()
        ),
    ]
