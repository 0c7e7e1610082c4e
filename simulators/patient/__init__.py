"""A simulated participant: scenarios, physiology by phenotype, flowmotion, and levels of blood flow and oxygen."""
