"""Exercises know how hard they are, their languages and media, whether they were offered, and what replaced them."""

from alembic import op

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None

# Each rule speaks of its own new column only, so it comes with it: no row can break it yet.
COLUMNS = {
    "difficulty": "integer CONSTRAINT ck_exercises_difficulty CHECK (difficulty BETWEEN 1 AND 5)",
    "language": "text DEFAULT 'en' NOT NULL",
    "translations": (
        "jsonb DEFAULT '{}' NOT NULL CONSTRAINT ck_exercises_translations CHECK (jsonb_typeof(translations) = 'object')"
    ),
    "media": "jsonb DEFAULT '[]' NOT NULL CONSTRAINT ck_exercises_media CHECK (jsonb_typeof(media) = 'array')",
    "offered_at": (
        "timestamptz CONSTRAINT ck_exercises_offered"
        " CHECK (offered_at IS NULL OR (scope = 'own' AND retired_at IS NULL))"
    ),
    "replaced_by": (
        "text CONSTRAINT ck_exercises_replaced"
        " CHECK (replaced_by IS NULL OR (retired_at IS NOT NULL AND replaced_by <> code AND scope <> 'library'))"
    ),
}


def upgrade() -> None:
    for name, definition in COLUMNS.items():
        op.execute(f"ALTER TABLE exercises ADD COLUMN {name} {definition}")
    op.execute(
        "ALTER TABLE exercises ADD CONSTRAINT fk_exercises_clinic_id_replaced_by"
        " FOREIGN KEY (clinic_id, replaced_by) REFERENCES exercises (clinic_id, code) NOT VALID"
    )


def downgrade() -> None:
    op.drop_constraint("fk_exercises_clinic_id_replaced_by", "exercises")
    for name in reversed(COLUMNS):
        op.drop_column("exercises", name)
